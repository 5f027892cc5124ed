"""The endoscopic field of view: the rectangle of the lit picture, without borders and scope text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..optional import opencv

_WORKING_SIDE = 160  # pixels of the longer side; borders need no more
_LETTER, _FOLD = 7, 11  # working pixels: letters are thinner, and so are the shadows of folds
_LIT = 28  # of 255 in the brightest channel: above a camera's black, below dim mucosa
_LEAST_SHARE = 0.2  # a lit region smaller than this is no view: the frame is dark, or all text
_LEAST_GAIN = 0.04  # cutting off less than this is not worth another geometry


@dataclass(frozen=True)
class View:
    """A rectangle of a frame: rows ``top`` to ``bottom`` and columns ``left`` to ``right``, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """The view of a frame (h, w, 3), without copying."""
        return frame[self.top : self.bottom, self.left : self.right]

    def place(self, mask: np.ndarray, height: int, width: int) -> np.ndarray:
        """A mask of the view put back into a mask of the frame's size; 0 outside the view."""
        if mask.shape == (height, width):
            return mask
        whole = np.zeros((height, width), mask.dtype)
        whole[self.top : self.bottom, self.left : self.right] = mask
        return whole

    @property
    def pixels(self) -> int:
        return (self.bottom - self.top) * (self.right - self.left)

    def joined(self, other: View) -> View:
        """The smallest view that holds both."""
        return View(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )


def whole(height: int, width: int) -> View:
    """The view that is the frame itself."""
    return View(0, height, 0, width)


def find_view(frame: np.ndarray) -> View | None:
    """The field of view of one frame, uint8 (h, w, 3) in any channel order; None if nothing lit is found.

    Text is lit too, but it is thin: an opening removes it, and the largest remaining region is used.
    """
    cv2 = opencv()
    height, width = frame.shape[:2]
    scale = min(1.0, _WORKING_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    lit = (small.max(axis=2) > _LIT).view(np.uint8)
    # Opened, which removes letters; then closed, so that dark folds do not cut the view apart. The margin
    # keeps the closing from growing a view to a border that is near.
    lit = cv2.morphologyEx(lit, cv2.MORPH_OPEN, np.ones((_LETTER, _LETTER), np.uint8))
    lit = cv2.copyMakeBorder(lit, _FOLD, _FOLD, _FOLD, _FOLD, cv2.BORDER_CONSTANT, value=0)
    lit = cv2.morphologyEx(lit, cv2.MORPH_CLOSE, np.ones((_FOLD, _FOLD), np.uint8))
    lit = lit[_FOLD:-_FOLD, _FOLD:-_FOLD]
    count, _, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=4)
    if count < 2:
        return None
    left, top, w, h, area = max(stats[1:], key=lambda region: int(region[cv2.CC_STAT_AREA]))
    if area < _LEAST_SHARE * lit.size:
        return None
    # Outwards to whole pixels of the frame, so that no lit pixel is lost.
    found = View(
        max(0, int(top / scale)),
        min(height, int(np.ceil((top + h) / scale))),
        max(0, int(left / scale)),
        min(width, int(np.ceil((left + w) / scale))),
    )
    return found if found.pixels < (1 - _LEAST_GAIN) * height * width else whole(height, width)


class ViewFinder:
    """The view of one source: the union of what its first lit frames show, then fixed.

    A frame of another size starts again; a source of unrelated images asks :func:`find_view` for each.
    """

    SETTLING_FRAMES = 12

    def __init__(self, *, every_frame: bool = False) -> None:
        self._every_frame = every_frame
        self._size = (0, 0)
        self._view: View | None = None
        self._seen = 0

    def __call__(self, frame: np.ndarray) -> View:
        """The view to work in for this frame."""
        size = frame.shape[:2]
        if self._every_frame:
            return find_view(frame) or whole(*size)
        if size != self._size:
            self._size, self._view, self._seen = size, None, 0
        if self._seen < self.SETTLING_FRAMES:
            found = find_view(frame)
            if found is not None:
                self._seen += 1
                self._view = found if self._view is None else self._view.joined(found)
        return self._view or whole(*size)
