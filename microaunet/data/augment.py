"""Augmentation of a whole batch at once, on the device where it is, from one generator.

Geometry is one warp: flips, rotation, scale, shear, stretch and shift are composed into one matrix per frame,
and the mask travels as a fourth channel, so that image and mask stay aligned. Colour is one 3 x 4 matrix per
frame. What costs more (gamma, blur, noise, occlusion) happens to a share of the frames only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from kornia.filters import gaussian_blur2d
from kornia.geometry.transform import warp_affine
from torch import Tensor

from microaunet_runtime.errors import InputError

from ..limits import within
from .background import polyp_free_strip

_SMALLEST_BACKGROUND = 1 / 4  # of the frame
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Augmentation:
    """The strengths; 0 switches off. Ranges are symmetric about "no change" where no bounds are given."""

    flip: float = 0.5  # probability, for each axis
    rotate: float = 180.0  # degrees
    scale_min: float = 0.6
    scale_max: float = 1.5
    stretch: float = 0.15  # change of the aspect ratio
    shear: float = 10.0  # degrees
    translate: float = 0.15  # share of the side
    affine: float = 0.9  # probability of rotation, scale, stretch, shear and shift
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.3
    hue: float = 12.0  # degrees
    gamma: float = 0.25  # exponent between 1 / (1 + gamma) and 1 + gamma
    gamma_share: float = 0.25
    blur_sigma: float = 1.5  # pixels, at most
    blur_share: float = 0.15
    noise: float = 0.04  # standard deviation, at most
    noise_share: float = 0.15
    border_share: float = 0.1  # black borders and cut corners, as endoscopes show them
    text_share: float = 0.1  # bars of letters' size, as overlaid text
    box_share: float = 0.0  # a green or black box in a corner, as endoscopes show the position of the scope
    erase_share: float = 0.1  # grey rectangles
    background_share: float = 0.0  # only what lies beside the polyps: frames on which nothing is to be found

    def __post_init__(self) -> None:
        shares = [field.name for field in dataclasses.fields(self) if field.name.endswith("_share")]
        within(self, "augmentation", 0, 1, "flip", "affine", "brightness", "contrast", "saturation", *shares)
        within(self, "augmentation", 0.05, 20, "scale_min", "scale_max")
        within(self, "augmentation", 0, 180, "rotate", "hue")
        within(self, "augmentation", 0, 80, "shear")
        within(self, "augmentation", 0, 10, "stretch", "translate", "gamma", "blur_sigma", "noise")
        if self.scale_min > self.scale_max:
            raise InputError(f"augmentation: scale_min is {self.scale_min}, more than scale_max")


class Augmenter:
    """Turns stored frames into training batches.

    Args:
        augmentation: the strengths.
        seed: the same seed gives the same batches.
        device: where batches are made.
    """

    def __init__(self, augmentation: Augmentation, seed: int, device: torch.device | str = "cpu") -> None:
        self._a = augmentation
        self._device = torch.device(device)
        self._random = torch.Generator().manual_seed(seed)  # choices, always drawn on the CPU
        self._pixels = torch.Generator(self._device).manual_seed(seed)  # noise

    def __call__(self, stored: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Image (N, 3, size, size) in 0..1 and maps (N, C - 3, size, size) from uint8 (N, C, S, S).

        Both are float32. The first map is the mask, of 0 and 1 only; those that follow are in 0..1.
        """
        frames = stored.to(self._device).float()
        if self._a.background_share:
            for index in self._choose(len(frames), self._a.background_share).tolist():
                frames[index] = _background(frames[index])
        matrix = self._matrices(len(frames), frames.shape[-1], size).to(self._device)
        # Outside of the frame is black, and no polyp.
        frames = warp_affine(frames, matrix, (size, size), padding_mode="zeros", align_corners=True)
        image = frames[:, :3] / 255
        maps = torch.cat([(frames[:, 3:4] > 127).float(), frames[:, 4:] / 255], 1)
        image = self._colour(image)
        image = self._some(image, self._a.gamma_share if self._a.gamma else 0, self._gamma)
        image = self._some(image, self._a.blur_share if self._a.blur_sigma else 0, self._blur)
        image = self._some(image, self._a.noise_share if self._a.noise else 0, self._noise)
        image = self._some(image, self._a.text_share, self._text)
        image = self._some(image, self._a.box_share, self._box)
        image = self._some(image, self._a.erase_share, self._erase)
        chosen = self._choose(len(image), self._a.border_share)
        for index in chosen.tolist():
            visible = self._border(size).to(self._device)
            image[index] *= visible
            maps[index] *= visible
        return image, maps

    def _uniform(self, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        return torch.rand(shape, generator=self._random) * (high - low) + low

    def _choose(self, count: int, share: float) -> Tensor:
        return torch.nonzero(self._uniform((count,), 0, 1) < share).flatten()

    def _some(self, image: Tensor, share: float, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply ``change`` to a random share of the frames."""
        chosen = self._choose(len(image), share).to(self._device)
        if len(chosen):
            image[chosen] = change(image[chosen])
        return image

    def _matrices(self, count: int, stored: int, size: int) -> Tensor:
        """(N, 2, 3) from pixels of the stored frame to pixels of the batch."""
        a = self._a
        on = self._uniform((count,), 0, 1) < a.affine
        angle = torch.deg2rad(self._uniform((count,), -a.rotate, a.rotate)) * on
        scale = torch.exp(self._uniform((count,), math.log(a.scale_min), math.log(a.scale_max)) * on)
        stretch = torch.exp(self._uniform((count,), -a.stretch, a.stretch) / 2 * on)
        shear = torch.tan(torch.deg2rad(self._uniform((count,), -a.shear, a.shear))) * on
        shift = self._uniform((count, 2), -a.translate, a.translate) * on[:, None]
        flip = 1 - 2 * (self._uniform((count, 2), 0, 1) < a.flip).float()
        cos, sin = torch.cos(angle), torch.sin(angle)
        rotation = torch.stack([cos, -sin, sin, cos], 1).view(-1, 2, 2)
        slant = torch.stack([torch.ones(count), shear, torch.zeros(count), torch.ones(count)], 1).view(
            -1, 2, 2
        )
        sides = torch.diag_embed(torch.stack([scale * stretch, scale / stretch], 1) * flip)
        linear = rotation @ slant @ sides * ((size - 1) / (stored - 1))
        centre_in, centre_out = torch.full((2, 1), (stored - 1) / 2), (size - 1) / 2
        offset = centre_out - linear @ centre_in + shift[..., None] * size
        return torch.cat([linear, offset], 2)

    def _colour(self, image: Tensor) -> Tensor:
        """Brightness (a gain: black borders stay black), contrast about mid-grey, saturation and hue."""
        a, count = self._a, len(image)
        gain = 1 + self._uniform((count, 1, 1), -a.brightness, a.brightness)
        contrast = 1 + self._uniform((count, 1, 1), -a.contrast, a.contrast)
        saturation = 1 + self._uniform((count, 1, 1), -a.saturation, a.saturation)
        angle = torch.deg2rad(self._uniform((count, 1, 1), -a.hue, a.hue))
        bias = 0.5 * (1 - contrast)
        grey = torch.tensor(_LUMA).expand(3, 3)  # every row gives the luma
        chroma = torch.eye(3) - grey
        # Rotation about the grey axis (Rodrigues), which leaves grey as it is.
        cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
        mean = torch.full((3, 3), 1 / 3)
        turn = torch.cos(angle) * torch.eye(3) + torch.sin(angle) * cross + (1 - torch.cos(angle)) * mean
        matrix = gain * contrast * ((grey + saturation * chroma) @ turn)
        flat = torch.baddbmm(
            bias.expand(-1, 3, 1).to(image), matrix.to(image), image.flatten(2)
        )  # (N, 3, H * W)
        return flat.view_as(image).clamp_(0, 1)

    def _gamma(self, image: Tensor) -> Tensor:
        span = math.log1p(self._a.gamma)
        return image ** torch.exp(self._uniform((len(image), 1, 1, 1), -span, span)).to(image)

    def _blur(self, image: Tensor) -> Tensor:
        sigma = self._uniform((len(image), 1), 0.3, max(0.3, self._a.blur_sigma)).expand(-1, 2).to(image)
        return gaussian_blur2d(image, (7, 7), sigma)

    def _noise(self, image: Tensor) -> Tensor:
        strength = self._uniform((len(image), 1, 1, 1), 0, self._a.noise).to(image)
        noise = torch.randn(image.shape, generator=self._pixels, device=self._device)
        return (image + noise * strength).clamp_(0, 1)

    def _border(self, size: int) -> Tensor:
        """(size, size) of 1 where the scope shows something: a box with corners cut off."""
        axis = torch.linspace(-1, 1, size)
        left, right, top, bottom = self._uniform((4,), 0.75, 1.02).tolist()
        corner = self._uniform((), 1.35, 2.0).item()
        x, y = axis[None, :], axis[:, None]
        return ((x > -left) & (x < right) & (y > -top) & (y < bottom) & (x.abs() + y.abs() < corner)).float()

    def _text(self, image: Tensor) -> Tensor:
        """Lines of small bright strokes near the frame's sides; the mask stays, as text covers little."""
        size = image.shape[-1]
        for one in image:
            for _ in range(int(torch.randint(1, 4, (), generator=self._random))):
                height = max(2, int(size * self._uniform((), 0.02, 0.05)))
                width = int(size * self._uniform((), 0.1, 0.4))
                top = int((size - height) * self._uniform((), 0, 1))
                left = int((size - width) * self._uniform((), 0, 0.3))
                strokes = (self._uniform((1, (height + 1) // 2, (width + 1) // 2), 0, 1) < 0.5).to(image)
                strokes = strokes.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]
                region = one[:, top : top + height, left : left + width]
                region += strokes * (self._uniform((3, 1, 1), 0.7, 1).to(image) - region)
        return image

    def _box(self, image: Tensor) -> Tensor:
        """A box in a corner per frame, green or black, with a few bright strokes; the mask stays."""
        size = image.shape[-1]
        for one in image:
            height, width = (size * self._uniform((2,), 0.12, 0.35)).int().tolist()
            top, left = (
                (size - side) * int(torch.randint(2, (), generator=self._random)) for side in (height, width)
            )
            green = self._uniform((), 0, 1).item() < 0.5
            colour = self._uniform((3, 1, 1), 0, 0.15)
            colour[1] += 0.35 * green
            region = one[:, top : top + height, left : left + width]
            region[:] = colour.to(image)
            strokes = self._uniform((1, height, width), 0, 1) < 0.03
            region += strokes.to(image) * (0.8 - region)
        return image

    def _erase(self, image: Tensor) -> Tensor:
        """A grey rectangle per frame; the mask stays, so that a hidden part must be inferred."""
        size = image.shape[-1]
        for one in image:
            height, width = (size * self._uniform((2,), 0.05, 0.25)).int().tolist()
            top, left = (
                int((size - height) * self._uniform((), 0, 1)),
                int((size - width) * self._uniform((), 0, 1)),
            )
            one[:, top : top + height, left : left + width] = self._uniform((3, 1, 1), 0, 0.8).to(image)
        return image


def _background(frame: Tensor) -> Tensor:
    """The largest strip beside the polyps of one frame (C, S, S), stretched to its size.

    The frame as it is when no strip is large enough.
    """
    polyp = (frame[3] > 0).cpu().numpy().view(np.uint8)
    strip = polyp_free_strip(polyp, _SMALLEST_BACKGROUND)
    if strip is None:
        return frame
    rows, columns = strip
    shown = frame[None, :, rows, columns]
    return F.interpolate(shown, frame.shape[1:], mode="bilinear", align_corners=False)[0]
