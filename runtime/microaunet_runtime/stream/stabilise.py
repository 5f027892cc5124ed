"""Temporal stabilisation: a mask that does not flicker, and flashes that never show.

A region appears when it is surely a polyp in two frames in a row: over at least a hundredth of the view its
probability passes ``presence``, which lies above the threshold of a mask and belongs to the weights. It stays
while its probability, smoothed over time, is above a lower threshold (hysteresis). Tiny regions are not
shown. So most frames without a polyp stay clean, although each one's own mask marks something. Appearing late
is the price: see :func:`delay_frames`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..optional import opencv


@dataclass(frozen=True)
class Stabilisation:
    """How strongly a mask is stabilised.

    Attributes:
        weight: of the newest frame at 25 frames per second, from 0 to 1 (1: no smoothing).
        margin: a region is what lies above ``threshold - margin``.
        sure_share: of the view, over which a region must be sure to appear.
        least_share: smaller regions, in share of the view, are not shown.
        memory_s: after a gap longer than this, and than is usual between the frames, all begins anew.
    """

    weight: float = 0.45
    margin: float = 0.2
    sure_share: float = 0.01
    least_share: float = 0.002
    memory_s: float = 0.5

    def low(self, threshold: float) -> float:
        """The smoothed probability down to which a region reaches."""
        return max(threshold - self.margin, threshold / 2)


_REFERENCE_FPS = 25.0


class Stabiliser:
    """Turns one source's probabilities into masks. Frames must come in order.

    Args:
        threshold: of a mask.
        presence: what ``sure_share`` of the view must pass in a region, in two frames in a row, before it is
            shown.
        settings: how strongly.
    """

    def __init__(self, threshold: float, presence: float, settings: Stabilisation | None = None) -> None:
        self.settings = settings or Stabilisation()
        self._presence = presence
        self._low = self.settings.low(threshold)
        self._smooth: np.ndarray | None = None
        self._sure: np.ndarray | None = None
        self._shown: np.ndarray | None = None
        self._time_s = self._interval_s = 0.0

    def reset(self) -> None:
        """Forget what was seen: the next frame begins anew."""
        self._smooth = self._sure = self._shown = None

    def __call__(self, probability: np.ndarray, time_s: float) -> np.ndarray:
        """The stabilised mask, uint8 (H, W), of a probability, float32 (H, W), seen at ``time_s``."""
        elapsed = 0.0 if self._smooth is None else time_s - self._time_s
        if (
            self._smooth is None
            or self._smooth.shape != probability.shape
            or not 0 <= elapsed <= max(self.settings.memory_s, 2.5 * self._interval_s)
        ):
            self._smooth = probability * np.float32(self.settings.weight)
            self._sure = self._shown = None
        else:
            # The same smoothing per second at any frame rate, also when a live source drops frames.
            old = np.float32((1 - self.settings.weight) ** (elapsed * _REFERENCE_FPS))
            self._smooth *= old
            self._smooth += (1 - old) * probability
        self._time_s, self._interval_s = time_s, max(elapsed, 0.0)
        sure = probability > self._presence
        self._shown = self._regions(self._smooth, sure)
        self._sure = sure
        return self._shown.copy()

    def _regions(self, smooth: np.ndarray, sure: np.ndarray) -> np.ndarray:
        """The regions of ``smooth`` that are sure now and were in the frame before, or were shown in it."""
        cv2 = opencv()
        mask = (smooth > self._low).view(np.uint8)
        if not mask.any():
            return mask
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        shown = np.zeros(count, np.uint8)
        if self._sure is not None:  # anywhere in the region each time: polyps move
            least = self.settings.sure_share * mask.size
            now, before = (np.bincount(labels[each], minlength=count) for each in (sure, self._sure))
            shown[(now >= least) & (before >= least)] = 1
        if self._shown is not None:
            shown[np.unique(labels[self._shown > 0])] = 1
        shown[stats[:, cv2.CC_STAT_AREA] < self.settings.least_share * mask.size] = 0
        shown[0] = 0
        kept: np.ndarray = shown[labels]
        return kept


def delay_frames(settings: Stabilisation, probability: float, threshold: float, presence: float) -> int:
    """How many frames later than without stabilisation a region is shown that appears with ``probability``.

    It must be sure, and large enough, in two frames, and its smoothed probability must have risen to where
    regions begin.

    Raises:
        ValueError: ``probability`` does not pass ``presence``, or not where regions begin.
    """
    if probability <= max(presence, settings.low(threshold)):
        raise ValueError(f"a region of {probability} never appears where {presence} must be passed")
    if settings.weight == 1:
        return 1
    risen = math.log(1 - settings.low(threshold) / probability) / math.log(1 - settings.weight)
    return max(1, math.ceil(risen) - 1)
