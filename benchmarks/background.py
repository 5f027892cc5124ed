"""Scenes from still images, and what of a frame shows no polyp: the nearest to video that the sets have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from microaunet_runtime.optional import opencv

SMALLEST_CROP = 1 / 3  # of the frame: smaller crops are blurred beyond what a scope shows

SCENE_FRAMES = 25  # a second

Place = tuple[slice, slice]


def scene(image: np.ndarray, random: np.random.Generator) -> Iterator[tuple[np.ndarray, Place]]:
    """A second of video: a window of nine tenths drifts over ``image``, uint8 (h, w, 3), with new noise.

    Yields frames, uint8, and the rows and columns that each one shows.
    """
    height, width = image.shape[0] * 9 // 10, image.shape[1] * 9 // 10
    for step in range(SCENE_FRAMES):
        top = (image.shape[0] - height) * step // SCENE_FRAMES
        left = (image.shape[1] - width) * step // SCENE_FRAMES
        place = slice(top, top + height), slice(left, left + width)
        noisy = image[place] + random.normal(0, 3, (height, width, 3))
        yield noisy.clip(0, 255).astype(np.uint8), place


def polyp_free_strip(mask: np.ndarray, smallest: float) -> Place | None:
    """Rows and columns of the largest strip left, right, above or below all polyps.

    Args:
        mask: uint8 (h, w).
        smallest: share of the frame below which a strip is none.

    Returns:
        None when there is no strip, or no polyp.
    """
    height, width = mask.shape
    left, top, w, h = opencv().boundingRect(mask)
    if not w:
        return None
    everything = slice(None)
    strips = [
        (top * width, (slice(0, top), everything)),
        ((height - top - h) * width, (slice(top + h, height), everything)),
        (left * height, (everything, slice(0, left))),
        ((width - left - w) * height, (everything, slice(left + w, width))),
    ]
    area, largest = max(strips, key=lambda strip: strip[0])
    return largest if area >= smallest * mask.size else None
