"""The separate regions of a mask, as boxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..optional import opencv

SMALLEST_SHARE = 5e-4
"""Regions under this share of the frame are not shown in single frames: most regions that networks mark are
such specks, and in none of the 2,158 frames of the training lists is the polyp as small (0.00077)."""


@dataclass(frozen=True)
class Box:
    """One connected region: its bounding box and its area, in pixels of the frame.

    Attributes:
        x, y: the upper left pixel.
        width, height: size in pixels.
        area: pixels of the region itself.
        share: ``area`` over all pixels of the mask.
    """

    x: int
    y: int
    width: int
    height: int
    area: int
    share: float


def find_boxes(mask: np.ndarray) -> list[Box]:
    """The 8-connected regions of a mask of 0 and 1, uint8 (h, w), largest first."""
    cv2 = opencv()
    # Labelling a whole 1080p frame takes ten times as long as finding where anything is: look only there.
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return []
    inside = mask[top : top + height, left : left + width]
    _, _, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    boxes = [
        Box(left + int(x), top + int(y), int(w), int(h), int(area), int(area) / mask.size)
        for x, y, w, h, area in stats[1:]
    ]
    return sorted(boxes, key=lambda box: -box.area)


def without_specks(probability: np.ndarray, threshold: float) -> np.ndarray:
    """``probability``, float32 (h, w), with no region above ``threshold`` under :data:`SMALLEST_SHARE` of it.

    A speck is lowered to the threshold, in a copy; without one, the array itself is returned.
    """
    cv2 = opencv()
    above = (probability > threshold).view(np.uint8)
    left, top, width, height = cv2.boundingRect(above)
    if width == 0:
        return probability
    inside = slice(top, top + height), slice(left, left + width)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(above[inside], connectivity=8)
    speck = stats[:, cv2.CC_STAT_AREA] < SMALLEST_SHARE * probability.size
    speck[0] = False  # what is below the threshold
    if not speck.any():
        return probability
    kept = probability.copy()
    kept[inside][speck[labels]] = threshold
    return kept
