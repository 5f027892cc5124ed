"""The part of a frame without a polyp: used for training, and for counting false alarms in benchmarks."""

from __future__ import annotations

import numpy as np

from microaunet_runtime.optional import opencv

Place = tuple[slice, slice]
"""Rows and columns of a frame."""


def polyp_free_strip(mask: np.ndarray, smallest: float) -> Place | None:
    """Rows and columns of the largest strip left, right, above or below all polyps.

    Args:
        mask: uint8 (h, w).
        smallest: strips under this share of the frame do not count.

    Returns:
        The slices, or None if there is no strip, or no polyp.
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
