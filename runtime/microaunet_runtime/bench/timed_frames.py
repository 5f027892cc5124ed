"""The frames that are timed: from a data set if one is given, else the golden frames; never zeros."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..bundle import Bundle
from ..evaluation.dataset import find_pairs, resolve_set
from ..images import read_image
from ..images.resize import resize_frame

COUNT = 8  # different frames, so that no cache holds the one that comes next


def timing_frames(bundle: Bundle, data: Path | None, height: int, width: int) -> tuple[list[np.ndarray], str]:
    """Frames of one size, and whether they are real or synthetic.

    Args:
        data: a data set, or a root that holds ``val/``; when None, the bundle's golden frames are stretched.

    Returns:
        uint8 (height, width, 3) RGB each; ``real`` or ``synthetic``.

    Raises:
        InputError: ``data`` is not a data set, or an image cannot be read.
    """
    if data is None:
        return [resize_frame(frame, height, width) for frame in bundle.golden().frames[:COUNT]], "synthetic"
    return real_frames(data, height, width), "real"


def real_frames(data: Path, height: int, width: int) -> list[np.ndarray]:
    """Frames spread over a data set, or over ``val/`` of a root: uint8 (height, width, 3) RGB each.

    Raises:
        InputError: ``data`` is not a data set, or an image cannot be read.
    """
    pairs = find_pairs(resolve_set(data, "val"))
    chosen = pairs[:: max(len(pairs) // COUNT, 1)][:COUNT]
    return [resize_frame(read_image(pair.image), height, width) for pair in chosen]
