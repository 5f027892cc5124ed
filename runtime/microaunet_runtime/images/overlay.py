"""The overlay for people: the frame, the mask's contour and translucent fill, and the facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..optional import opencv

DISCLAIMER = "not for clinical use"

# Blue, green, red. Green: the colour that tissue never has.
_CONTOUR = (60, 235, 60)
_DARK = (0, 0, 0)
_LIGHT = (255, 255, 255)
_WARNING = (40, 40, 235)
_FILL = 0.25  # of the colour, the rest is the frame

_FONT_HEIGHT = 22.0  # pixels of a capital letter in OpenCV's font at scale 1
_TEXT_SHARE = 1 / 48  # of the frame's shorter side: 10 px at 480p, 45 px at 4K
_SMALLEST_TEXT = 7.0  # pixels; below this nothing can be read


def draw_overlay(
    image: np.ndarray, mask: np.ndarray, facts: Sequence[str], *, bgr: bool, warning: str = ""
) -> np.ndarray:
    """A copy of a frame with mask, facts and warning drawn onto it.

    Args:
        image: uint8 (h, w, 3).
        mask: uint8 (h, w) of 0 and 1.
        facts: lines for the upper left corner.
        bgr: the frame's channel order, which is also the order of what is returned.
        warning: a line across the top, on red: the picture must not be trusted as it is.

    Returns:
        uint8 (h, w, 3).
    """
    view = image.copy()
    _draw_mask(view, mask, _ordered(_CONTOUR, bgr))
    text = _text_size(view)
    y = 0
    if warning:
        y = draw_warning(view, warning, bgr=bgr)
    for line in facts:
        y = _write(view, line, 0, y, text, _LIGHT, _DARK)
    _write(view, DISCLAIMER, 0, None, text, _LIGHT, _DARK)
    return view


def area_fact(mask: np.ndarray, view_pixels: int) -> str:
    """The text of the overlay for the mask's area, in percent of the view."""
    return f"area {100 * opencv().countNonZero(mask) / max(view_pixels, 1):.1f} % of view"


def draw_warning(view: np.ndarray, warning: str, *, bgr: bool) -> int:
    """Write a line across the top left of ``view``, uint8 (h, w, 3), on red; returns where its box ends."""
    return _write(view, warning, 0, 0, 1.4 * _text_size(view), _LIGHT, _ordered(_WARNING, bgr))


def _text_size(view: np.ndarray) -> float:
    return max(_SMALLEST_TEXT, min(view.shape[:2]) * _TEXT_SHARE)


def _draw_mask(view: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> None:
    cv2 = opencv()
    left, top, width, height = cv2.boundingRect(mask)
    if width == 0:
        return
    rows, columns = slice(top, top + height), slice(left, left + width)
    region, inside = view[rows, columns], np.ascontiguousarray(mask[rows, columns])
    paint = np.full_like(region, colour)
    cv2.copyTo(cv2.addWeighted(region, 1 - _FILL, paint, _FILL, 0), inside, region)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    line = max(1, round(min(view.shape[:2]) / 240))
    # A dark edge under the bright line keeps it visible on highlights.
    for thickness, shade in ((line * 2 + 1, _DARK), (line, colour)):
        cv2.drawContours(view, contours, -1, shade, thickness, cv2.LINE_AA, offset=(left, top))


def _write(view: np.ndarray, line: str, x: int, y: int | None, size: float, colour: Any, ground: Any) -> int:
    """Write one line in a box at (x, y), or at the lower edge when ``y`` is None; returns the box's end."""
    cv2 = opencv()
    font = cv2.FONT_HERSHEY_SIMPLEX
    scale = size / _FONT_HEIGHT
    (width, _), _ = cv2.getTextSize(line, font, scale, 1)
    pad = size * 0.5
    scale *= min(
        1.0, (view.shape[1] - 2 * pad) / width
    )  # a narrow frame gets smaller letters, never a cut line
    size = scale * _FONT_HEIGHT
    thickness = max(1, round(size / 11))
    (width, _), _ = cv2.getTextSize(line, font, scale, thickness)
    height = round(size + 2 * pad)
    top = view.shape[0] - height if y is None else y
    box = view[max(top, 0) : top + height, x : x + round(width + 2 * pad)]
    if box.size == 0:
        return top + height
    share = 0.85 if any(ground) else 0.6
    cv2.addWeighted(box, 1 - share, np.full_like(box, ground), share, 0, dst=box)
    base = round(top + pad + size * 0.95)
    cv2.putText(view, line, (round(x + pad), base), font, scale, colour, thickness, cv2.LINE_AA)
    return top + height


def _ordered(colour: tuple[int, int, int], bgr: bool) -> tuple[int, int, int]:
    return colour if bgr else (colour[2], colour[1], colour[0])
