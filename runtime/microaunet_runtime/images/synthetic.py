"""Endoscopic-looking frames with exact masks, made from a seed: for golden frames, tests and demos.

A small renderer: a mucosa as a height field (a lumen, folds, unevenness), polyps as domes with a lobed
outline, shaded by a light at the camera that falls off with distance; vessels, wet highlights, the black
corners of an endoscope's picture, and sensor noise. It copies no real frame. Lengths are in half short sides:
the short side of the frame runs from -1 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..optional import opencv
from .reading import write_image

# RGB reflectance of mucosa under endoscopic white light, from salmon to ochre to brownish red
_MUCOSA = np.array(
    [[0.74, 0.40, 0.31], [0.72, 0.42, 0.26], [0.68, 0.36, 0.30], [0.64, 0.40, 0.33]], np.float32
)
# what a polyp does to it: redder, paler, or hardly anything
_POLYP = np.array([[1.20, 1.02, 0.98], [1.24, 1.16, 1.10], [1.18, 0.90, 0.88]], np.float32)

SHARES = (0.03, 0.16)
"""Share of the frame that one polyp covers, before corners cut it: the middle four fifths of Kvasir-SEG's."""

MOST = 8
"""More polyps than this leave no room for mucosa in one frame."""


@dataclass(frozen=True)
class _Polyp:
    """A dome over the outline ``radius * (1 + sum of lobes)`` around (x, y), stretched along ``angle``."""

    x: float
    y: float
    radius: float
    stretch: float
    angle: float
    lobes: np.ndarray
    phases: np.ndarray
    height: float

    def reach(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The relative distance of each point from the centre: 0 at the centre, 1 on the outline."""
        dx, dy = x - self.x, y - self.y
        along = (dx * np.cos(self.angle) + dy * np.sin(self.angle)) / np.sqrt(self.stretch)
        across = (dy * np.cos(self.angle) - dx * np.sin(self.angle)) * np.sqrt(self.stretch)
        turn = np.arctan2(across, along)[..., None]
        outline = 1 + (self.lobes * np.cos(turn * np.arange(2, 2 + len(self.lobes)) + self.phases)).sum(
            axis=-1
        )
        return (np.hypot(along, across) / (self.radius * outline)).astype(np.float32)


def frame(seed: int, height: int = 256, width: int = 256, polyps: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A rendered frame and its mask; the same arguments give the same frame (with one numpy and OpenCV).

    Args:
        seed: of everything random in it.
        polyps: how many; 0 gives a polyp-free frame with an empty mask.

    Returns:
        The frame, uint8 (height, width, 3) RGB, and its mask of 0 and 1, uint8 (height, width).

    Raises:
        ValueError: a number of polyps outside 0 to :data:`MOST`.
    """
    if not 0 <= polyps <= MOST:
        raise ValueError(f"a frame holds 0 to {MOST} polyps, not {polyps}")
    random = np.random.default_rng([seed, polyps])
    half = min(height, width) / 2
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x + 0.5 - width / 2) / half, (y + 0.5 - height / 2) / half
    visible = _visible(random, x, y)

    lumen = random.uniform(0, 2 * np.pi), random.uniform(0.3, 1.1)
    centre = lumen[1] * np.cos(lumen[0]), lumen[1] * np.sin(lumen[0])
    surface = _mucosa_height(random, x, y, centre)
    colour = _mucosa_colour(random, x, y)
    shade = np.ones_like(x)
    mask = np.zeros((height, width), bool)
    wet = np.zeros_like(x)
    for polyp in _place(random, polyps, centre):
        reach = polyp.reach(x, y)
        inside = reach < 1
        cover = np.clip((1 - reach) * polyp.radius * half + 0.5, 0, 1)[..., None]  # one pixel of blending
        rise = np.maximum(1 - reach**2, 0)
        base = _blur(surface, 0.12 * half)
        base += 0.5 * rise * (base[inside].mean() - base)  # its top is tilted less than the wall
        bumps = _noise(random, x.shape, polyp.radius * half * 0.35) * 0.045 * polyp.radius
        dome = polyp.height * polyp.radius * rise**0.65 + bumps
        surface = np.where(inside, base + dome, surface)
        own = colour.mean(axis=(0, 1)) * random.choice(_POLYP)
        grain = _noise(random, x.shape, 0.03 * half) * 0.045 + _noise(random, x.shape, 0.1 * half) * 0.03
        colour = (
            colour * (1 - cover)
            + (own * (1 + grain[..., None] * np.array([0.5, 1.2, 1.2], np.float32))) * cover
        )
        # little light arrives where a dome meets the wall; on the side away from the light falls its shadow
        fall = _shifted(polyp, 0.06 * polyp.x, 0.06 * polyp.y + 0.05 * polyp.radius).reach(x, y)
        contact = 0.3 * np.exp(-np.maximum(fall - 1, 0) / 0.16) * ~inside
        rim = 0.12 * np.clip((reach - 0.8) / 0.2, 0, 1) ** 2 * inside
        shade = shade * (1 - contact - rim) * (1 + 0.3 * inside)  # a dome is nearer to the light
        wet = np.maximum(wet * ~inside, inside * 1.0)
        mask |= inside
    picture = _light(random, surface, colour, shade, wet, x, y, centre)
    picture = _blur(picture, 0.6) * visible[..., None]
    picture += random.normal(0, 0.008, picture.shape) * (0.3 + visible[..., None])
    pixels = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels, (mask & (visible > 0.5)).astype(np.uint8)


def write_set(
    folder: Path, count: int, seed: int = 0, *, height: int = 256, width: int = 256, polyps: int = 1
) -> None:
    """Write ``count`` frames as PNG into ``folder/images`` and their masks into ``folder/masks``."""
    for index in range(count):
        image, mask = frame(seed + index, height, width, polyps)
        write_image(folder / "images" / f"synthetic-{index:04d}.png", image)
        write_image(folder / "masks" / f"synthetic-{index:04d}.png", mask)


def _place(random: np.random.Generator, count: int, lumen: tuple[float, float]) -> list[_Polyp]:
    """Polyps that do not touch each other or cover the lumen."""
    placed: list[_Polyp] = []
    attempts = 0
    while len(placed) < count:
        share = np.exp(random.uniform(*np.log(SHARES))) * 0.98 ** (
            attempts // count
        )  # less where there is no room
        attempts += 1
        radius = float(np.sqrt(4 * share / np.pi))
        x, y = random.uniform(-0.95 + radius, 0.95 - radius, 2)
        polyp = _Polyp(
            x,
            y,
            radius,
            stretch=random.uniform(1, 1.6),
            angle=random.uniform(0, np.pi),
            lobes=random.normal(0, 1, 4) * np.array([0.05, 0.04, 0.025, 0.02]),
            phases=random.uniform(0, 2 * np.pi, 4),
            height=random.uniform(0.5, 0.85),
        )
        clear = all(np.hypot(x - p.x, y - p.y) > 1.3 * (radius + p.radius) for p in placed)
        corner = abs(x) + abs(y) + radius < 1.5 and not (x - radius < -0.4 and y + radius > 0.4)
        if clear and corner and np.hypot(x - lumen[0], y - lumen[1]) > radius + 0.15:
            placed.append(polyp)
    return placed


def _shifted(polyp: _Polyp, dx: float, dy: float) -> _Polyp:
    return _Polyp(**{**vars(polyp), "x": polyp.x + dx, "y": polyp.y + dy})


def _visible(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """1 inside the endoscope's picture, 0 in its black corners, (h, w)."""
    half = min(x.shape) / 2
    kind = random.choice(3, p=(0.55, 0.25, 0.2))  # cut corners, round, the whole rectangle
    if kind == 2:
        return np.ones_like(x)
    wide, high = np.abs(x).max(), np.abs(y).max()
    if kind == 0:
        edge = wide + high - random.uniform(0.4, 0.6) - np.abs(x) - np.abs(y)
    else:
        edge = random.uniform(1.1, 1.25) - np.hypot(x / wide, y / high)
    visible = np.clip(edge * half, 0, 1)
    if random.random() < 0.4:  # the small black window at the lower left that some processors insert
        side = random.uniform(0.5, 0.65)
        visible = visible * ~((x < side - wide) & (y > high - side))
    return visible


def _mucosa_height(
    random: np.random.Generator, x: np.ndarray, y: np.ndarray, lumen: tuple[float, float]
) -> np.ndarray:
    """Height towards the camera: a pit at the lumen, folds around it, unevenness at three scales."""
    half = min(x.shape) / 2
    away = np.hypot(x - lumen[0], y - lumen[1]) + 0.07 * _noise(random, x.shape, 0.5 * half)
    turn = np.arctan2(y - lumen[1], x - lumen[0])
    surface = -1.1 * np.exp(-((away / random.uniform(0.4, 0.65)) ** 2))
    radius = random.uniform(0.35, 0.5)
    while radius < 2:
        wave = 0.5 + 0.5 * np.cos(random.integers(1, 3) * turn + random.uniform(0, 2 * np.pi))
        offset = (away - radius) / (random.uniform(0.06, 0.12) * (0.6 + radius))
        # a fold rises slowly from the camera's side and drops steeply behind its crest
        crest = np.exp(-(np.where(offset > 0, offset * 0.5, offset * 1.6) ** 2))
        surface += random.uniform(0.05, 0.2) * wave * crest
        radius *= random.uniform(1.4, 1.9)
    for cell, amount in ((0.6, 0.05), (0.2, 0.010), (0.06, 0.0016)):
        surface += amount * _noise(random, x.shape, cell * half)
    return surface.astype(np.float32)


def _mucosa_colour(random: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Reflectance (h, w, 3): a tint, patches, and branching vessels that take away green and blue."""
    cv2 = opencv()
    half = min(x.shape) / 2
    tint = random.dirichlet(np.ones(len(_MUCOSA))).astype(np.float32) @ _MUCOSA
    patches = 0.05 * _noise(random, x.shape, 0.35 * half) + 0.03 * _noise(random, x.shape, 0.08 * half)
    colour = tint * (1 + patches[..., None] * np.array([0.5, 1.0, 1.3], np.float32))
    vessels = np.zeros(x.shape, np.float32)
    stems = [
        (random.uniform(0, 2 * half, 2), random.uniform(0, 2 * np.pi), 0.022 * half)
        for _ in range(random.integers(0, 9))
    ]
    while stems:
        position, heading, thickness = stems.pop()
        for _ in range(18):
            heading += random.normal(0, 0.3)
            onward = position + 0.05 * half * np.array([np.cos(heading), np.sin(heading)])
            ends = [tuple(int(v * 16) for v in point) for point in (position, onward)]
            cv2.line(vessels, *ends, 1.0, max(1, round(thickness)), cv2.LINE_AA, shift=4)
            position = onward
            if random.random() < 0.1 and thickness > 0.008 * half:
                stems.append((position, heading + random.choice((-0.7, 0.7)), thickness * 0.6))
    strength = random.uniform(0.12, 0.3) * _blur(vessels, 0.008 * half)[..., None]
    return colour * (1 - strength * np.array([0.35, 1, 0.9], np.float32))


def _light(
    random: np.random.Generator,
    surface: np.ndarray,
    colour: np.ndarray,
    shade: np.ndarray,
    wet: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    lumen: tuple[float, float],
) -> np.ndarray:
    """The picture, float (h, w, 3) of 0..1, of a surface of this height and reflectance under the lamp."""
    half = min(x.shape) / 2
    fine = _noise(random, x.shape, 0.035 * half)
    down, across = np.gradient(_blur(surface, 0.012 * half) * half)  # no edge is sharper than its flesh
    normal = np.dstack([-across, -down, np.ones_like(surface)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    lamp = random.uniform(-0.25, 0.25, 2)
    towards = np.dstack([lamp[0] - x, lamp[1] - y, 1.5 - surface])
    distance = np.linalg.norm(towards, axis=2, keepdims=True)
    lambert = np.clip((normal * towards / distance).sum(axis=2), 0, 1)
    away = np.hypot(x - lumen[0], y - lumen[1])
    near = (
        0.25 + 0.75 * np.clip(away / 1.1, 0, 1) ** 0.8
    )  # the wall comes closer with distance from the lumen
    arriving = (0.22 + 0.9 * lambert) * near * shade / (distance[..., 0] / 1.5) ** 1.2
    picture = colour * arriving[..., None] * random.uniform(1.15, 1.6)
    picture = np.where(
        picture > 0.7, 1 - 0.3 * np.exp(-(picture - 0.7) / 0.3), picture
    )  # a camera's soft shoulder

    # wet patches mirror the lamp where the surface faces it: small, white, in clusters, more on polyps
    shine = np.clip(lambert, 0, 1) ** 6 * (0.55 + 0.6 * wet) * shade
    cluster = _noise(random, x.shape, 0.3 * half) * 0.35
    spots = np.clip((fine + cluster) * shine - random.uniform(0.8, 1.3), 0, 0.35) / 0.35
    spots = _blur(spots.astype(np.float32), 0.5) + 0.35 * _blur(spots.astype(np.float32), 0.015 * half)
    return picture + spots[..., None] * (1.05 - picture)


def _noise(random: np.random.Generator, shape: tuple[int, ...], cell: float) -> np.ndarray:
    """Smooth noise of mean 0 and deviation about 1, float32 ``shape``, with features of ``cell`` pixels."""
    cv2 = opencv()
    rows, columns = (max(2, int(n / max(cell, 1.0)) + 2) for n in shape)
    grid = random.normal(0, 1, (rows, columns)).astype(np.float32)
    smooth = cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return smooth / max(float(smooth.std()), 1e-6)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    cv2 = opencv()
    return cv2.GaussianBlur(image.astype(np.float32), (0, 0), max(sigma, 0.3))
