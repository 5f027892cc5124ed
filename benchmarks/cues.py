"""Whether a scope's overlays and borders, which are neither polyp nor mucosa, decide what is shown.

    python -m benchmarks.cues --data DATA --weights general

Many polyp-free frames carry a green or black position box, burnt-in text or a wide black border, so a network
could learn these as the cue for "no polyp". Here each is pasted into test frames of both kinds, or removed
from them; what it does to presence and to what is shown is reported. A change passes when it turns less than
one frame in twenty of either kind, net of those that it turns the other way. Nothing touches a polyp: a box
goes into a corner without one, and a frame without such a corner is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from microaunet.data import lists
from microaunet_runtime.console import DebugOption, command_app, out, progress
from microaunet_runtime.errors import GateError
from microaunet_runtime.evaluation.operating_point import Seer
from microaunet_runtime.files import write_json
from microaunet_runtime.images import read_image, read_mask
from microaunet_runtime.images.field_of_view import ViewFinder
from microaunet_runtime.inference.pytorch import open_reference
from microaunet_runtime.optional import opencv

from .measuring.results import RESULTS
from .measuring.seen import POLYP_FREE, polyp_free_lists

RESULT = RESULTS / "cues.json"
POLYP_LISTS = ("kvasir-test", "polypgen-test")
FRAMES = 100  # of each kind, spread over its lists
MOST_TURNED = 0.05
BOX = 0.28  # of the sides, about what scopes show
BORDER = 0.12  # of the sides

Frame = tuple[np.ndarray, np.ndarray]  # image uint8 (h, w, 3) RGB, mask uint8 (h, w)
Change = Callable[[np.ndarray, np.ndarray], np.ndarray | None]
"""From a frame to the changed image; None where it would touch a polyp."""


def box_pasted(colour: tuple[int, int, int]) -> Change:
    """A box of ``colour`` with a bright curve in it, as scopes show the position of their shaft."""

    def change(image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
        corner = free_corner(mask)
        if corner is None:
            return None
        changed = image.copy()
        box = changed[corner]
        box[:] = colour
        height, width = box.shape[:2]
        t = np.linspace(0, 1, 40)
        curve = np.stack([width * (0.2 + 0.6 * t), height * (0.5 + 0.3 * np.sin(6 * t))], 1)
        line = np.ascontiguousarray(box)
        opencv().polylines(line, [curve.astype(np.int32)], False, (230, 230, 230), max(1, height // 30))
        box[:] = line
        return changed

    return change


def box_removed(image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """The lower left corner, where scopes show their box, filled with the mirrored lower right one."""
    corner, other = corners(mask.shape)[:2]
    if mask[corner].any() or mask[other].any():
        return None
    changed = image.copy()
    changed[corner] = image[other][:, ::-1]
    return changed


def text_pasted(image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Lines of bright letters down the left side and one along the top, except over the polyp."""
    cv2 = opencv()
    height, width = mask.shape
    scale = height / 600
    changed = image.copy()
    places = [(0.02, 0.1 + 0.07 * row) for row in range(5)] + [(0.55, 0.06)]
    for number, (x, y) in enumerate(places):
        words = ("Name:", "Sex: Age:", "D.O.B.:", "11/03/2019", "Scope ID 2", "CVP:A1/17")[number]
        at = (round(x * width), round(y * height))
        cv2.putText(changed, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (235, 235, 235), 1, cv2.LINE_AA)
    changed[mask > 0] = image[mask > 0]
    return changed


def border_pasted(image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Black borders with cut corners; None where they would cover a polyp."""
    height, width = mask.shape
    rows, columns = (np.abs(np.linspace(-1, 1, count)) for count in (height, width))
    outside = (rows[:, None] > 1 - BORDER) | (columns > 1 - BORDER) | (rows[:, None] + columns > 1.55)
    if mask[outside].any():
        return None
    changed = image.copy()
    changed[outside] = 0
    return changed


def border_removed(image: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """The lit picture alone, cut out: without border, and without the text beside it."""
    return np.ascontiguousarray(ViewFinder(every_frame=True)(image).cut(image))


CHANGES: dict[str, Change] = {
    "green box pasted": box_pasted((20, 110, 60)),
    "black box pasted": box_pasted((8, 8, 8)),
    "corner with the box removed": box_removed,
    "text pasted": text_pasted,
    "border pasted": border_pasted,
    "border removed": border_removed,
}


def corners(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """Rows and columns of the corners: lower left first, where scopes show their box."""
    height, width = shape[0], shape[1]
    tall, wide = round(BOX * height), round(BOX * width)
    low, high = slice(height - tall, height), slice(0, tall)
    left, right = slice(0, wide), slice(width - wide, width)
    return [(low, left), (low, right), (high, left), (high, right)]


def free_corner(mask: np.ndarray) -> tuple[slice, slice] | None:
    """The first corner that holds nothing of a polyp."""
    return next((corner for corner in corners(mask.shape) if not mask[corner].any()), None)


def cues(
    data: Annotated[Path, typer.Option("--data", help="Holds the test sets of the committed lists.")],
    weights: Annotated[str, typer.Option(help="A shipped name or a file.")] = "general",
    result: Annotated[Path, typer.Option("--json", help="File for the figures.")] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Paste and remove cues that must not decide, on test frames with and without a polyp.

    Example: python -m benchmarks.cues --data DATA --weights general
    """
    figures: dict[str, Any] = {}
    with open_reference(weights) as session, progress() as bar:
        for kind, names in (("polyp", POLYP_LISTS), ("polyp-free", polyp_free_lists("test"))):
            frames = bar.track(_frames(names, data), total=FRAMES, description=f"{kind} frames")
            figures[kind] = measure(session.see, frames, session.presence, session.threshold)
        point = session.presence
    failed = failures(figures)
    write_json(
        result,
        {
            "command": f"python -m benchmarks.cues --data DATA --weights {weights}",
            "operating_point": point,
            "most_turned": MOST_TURNED,
            "failures": failed,
            "changes": figures,
        },
    )
    out.print_json(data=figures)
    if failed:
        raise GateError("; ".join(failed))


def measure(see: Seer, frames: Iterable[Frame], point: float, threshold: float) -> dict[str, Any]:
    """By change: how presence moves, and how many frames begin or cease to be shown.

    Args:
        point: the operating point.
        threshold: of the mask.
    """
    pairs: dict[str, list[tuple[float, float, bool, bool]]] = {name: [] for name in CHANGES}
    for image, mask in frames:
        before, shown_before = _shown(see, image, point, threshold)
        for name, change in CHANGES.items():
            if (changed := change(image, mask)) is not None:
                after, shown = _shown(see, changed, point, threshold)
                pairs[name].append((before, after, shown_before, shown))
    return {name: _figures(found) for name, found in pairs.items()}


def _shown(see: Seer, image: np.ndarray, point: float, threshold: float) -> tuple[float, bool]:
    probability, presence = see(image)
    return presence, presence >= point and bool((probability > threshold).any())


def _figures(found: Sequence[tuple[float, float, bool, bool]]) -> dict[str, Any]:
    if not found:
        return {"frames": 0}
    before, after, was, now = (np.array(column) for column in zip(*found, strict=True))
    return {
        "frames": len(found),
        "presence_before": round(float(before.mean()), 4),
        "presence_after": round(float(after.mean()), 4),
        "shown_before": int(was.sum()),
        "begin_to_be_shown": int((now & ~was).sum()),
        "cease_to_be_shown": int((was & ~now).sum()),
    }


def failures(figures: Mapping[str, Mapping[str, dict[str, Any]]]) -> list[str]:
    """Which changes turn more frames than :data:`MOST_TURNED`, net, one phrase each."""
    return [
        f"{name}: {abs(net)} of {found['frames']} {kind} frames {'begin' if net > 0 else 'cease'} to be shown"
        for kind, changes in figures.items()
        for name, found in changes.items()
        if found["frames"]
        and abs(net := found["begin_to_be_shown"] - found["cease_to_be_shown"])
        > max(1, MOST_TURNED * found["frames"])
    ]


def _frames(names: Sequence[str], data: Path) -> Iterator[Frame]:
    """Evenly spaced frames of committed lists; those of polyp-free lists with an empty mask."""
    free = names[0].startswith(POLYP_FREE)
    found, _ = (lists.resolve_images if free else lists.resolve)(names, data)
    for index in np.linspace(0, len(found) - 1, min(FRAMES, len(found))):
        frame = found[round(index)]
        image = read_image(frame.image)
        yield image, read_mask(frame.mask) if frame.mask else np.zeros(image.shape[:2], np.uint8)


if __name__ == "__main__":
    command_app(cues)()
