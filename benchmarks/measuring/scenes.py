"""Scenes from still images, the closest to video that most data sets allow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from microaunet.data.background import Place

SMALLEST_CROP = 1 / 3  # of the frame: smaller crops are blurred beyond what a scope shows

SCENE_FRAMES = 25  # a second


def scene(
    image: np.ndarray, random: np.random.Generator, frames: int = SCENE_FRAMES
) -> Iterator[tuple[np.ndarray, Place]]:
    """Video: a window of nine tenths drifts over ``image``, uint8 (h, w, 3), with new noise in each frame.

    Yields frames, uint8, and the rows and columns that each one shows.
    """
    height, width = image.shape[0] * 9 // 10, image.shape[1] * 9 // 10
    for step in range(frames):
        top = (image.shape[0] - height) * step // frames
        left = (image.shape[1] - width) * step // frames
        place = slice(top, top + height), slice(left, left + width)
        noisy = image[place] + random.normal(0, 3, (height, width, 3))
        yield noisy.clip(0, 255).astype(np.uint8), place
