"""Temporal stabilisation: masks do not flicker, and short flashes are not shown.

A region appears when two consecutive frames show it on their own: their presence reaches the operating point,
which belongs to the weights, and the region holds pixels above the threshold in both. It stays while its
probability and the presence, both smoothed over time, are above lower levels (hysteresis). Tiny regions are
not shown. Appearing late is the price: see :func:`delay_frames`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..images.resize import cut_mask
from ..optional import opencv


@dataclass(frozen=True)
class Stabilisation:
    """The strength of the stabilisation.

    Attributes:
        weight: of the newest frame at 25 frames per second, from 0 to 1 (1: no smoothing).
        margin: a region is what lies above ``threshold - margin``.
        hold: share of the operating point above which the smoothed presence keeps what is shown.
        least_share: smaller regions, in share of the view, are not shown.
        memory_s: after a gap longer than this, and than usual between frames, stabilisation starts again.
    """

    weight: float = 0.45
    margin: float = 0.2
    hold: float = 0.5
    least_share: float = 0.002
    memory_s: float = 0.5

    def low(self, threshold: float) -> float:
        """The smoothed probability down to which a region reaches."""
        return max(threshold - self.margin, threshold / 2)


_REFERENCE_FPS = 25.0


class Stabiliser:
    """Turns one source's probability maps into masks. Frames must come in order.

    Args:
        threshold: of a mask.
        presence: the operating point, which the presence of two frames in a row must reach before a region of
            theirs is shown. May be set between two frames.
        settings: how strongly.
    """

    def __init__(self, threshold: float, presence: float, settings: Stabilisation | None = None) -> None:
        self.settings = settings or Stabilisation()
        self._threshold = threshold
        self.presence = presence
        self._low = self.settings.low(threshold)
        self._smooth: np.ndarray | None = None
        self._smooth_presence = 0.0
        self._alone: np.ndarray | None = None
        self._shown: np.ndarray | None = None
        self._time_s = self._interval_s = 0.0

    def reset(self) -> None:
        """Forget all earlier frames: the next one is treated as the first."""
        self._smooth = self._alone = self._shown = None

    def __call__(self, probability: np.ndarray, presence: float, time_s: float) -> np.ndarray:
        """The stabilised mask, uint8 (H, W), from the network's output for the frame at ``time_s``.

        Args:
            probability: float32 (H, W).
            presence: 0..1.
        """
        elapsed = 0.0 if self._smooth is None else time_s - self._time_s
        if (
            self._smooth is None
            or self._smooth.shape != probability.shape
            or not 0 <= elapsed <= max(self.settings.memory_s, 2.5 * self._interval_s)
        ):
            self._smooth = probability * np.float32(self.settings.weight)
            self._smooth_presence = presence
            self._alone = self._shown = None
        else:
            # The same smoothing per second at any frame rate, also when a live source drops frames.
            old = np.float32((1 - self.settings.weight) ** (elapsed * _REFERENCE_FPS))
            self._smooth *= old
            self._smooth += (1 - old) * probability
            self._smooth_presence += float(1 - old) * (presence - self._smooth_presence)
        self._time_s, self._interval_s = time_s, max(elapsed, 0.0)
        alone = probability > self._threshold if presence >= self.presence else None
        if self._smooth_presence < self.settings.hold * self.presence:
            self._shown = None
        self._shown = self._regions(self._smooth, alone)
        self._alone = alone
        return self._shown.copy()

    def mask(self, height: int, width: int) -> np.ndarray:
        """The latest mask at another size, uint8 (height, width), with the smoothed probability's contours.

        Raises:
            ValueError: no frame came yet.
        """
        if self._smooth is None or self._shown is None:
            raise ValueError("no frame came yet")
        hidden = (self._smooth > self._low) & (self._shown == 0)
        field = np.where(hidden, np.float32(self._low), self._smooth) if hidden.any() else self._smooth
        return cut_mask(field, self._low, height, width)

    def _regions(self, smooth: np.ndarray, alone: np.ndarray | None) -> np.ndarray:
        """The regions of ``smooth`` that this frame and the last one show alone, or that were shown."""
        cv2 = opencv()
        mask = (smooth > self._low).view(np.uint8)
        if not mask.any():
            return mask
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        shown = np.zeros(count, np.uint8)
        if alone is not None and self._alone is not None:  # anywhere in the region each time: polyps move
            least = self.settings.least_share * mask.size
            now, before = (np.bincount(labels[each], minlength=count) for each in (alone, self._alone))
            shown[(now >= least) & (before >= least)] = 1
        if self._shown is not None:
            shown[np.unique(labels[self._shown > 0])] = 1
        shown[stats[:, cv2.CC_STAT_AREA] < self.settings.least_share * mask.size] = 0
        shown[0] = 0
        kept: np.ndarray = shown[labels]
        return kept


def delay_frames(settings: Stabilisation, probability: float, threshold: float) -> int:
    """The delay in frames, against no stabilisation, of a region that appears with ``probability``.

    Two frames must show it, at the operating point, and its smoothed probability must have risen to where
    regions begin.

    Raises:
        ValueError: ``probability`` does not pass the threshold.
    """
    if probability <= threshold:
        raise ValueError(f"a region of {probability} never appears where the threshold is {threshold}")
    if settings.weight == 1:
        return 1
    risen = math.log(1 - settings.low(threshold) / probability) / math.log(1 - settings.weight)
    return max(1, math.ceil(risen) - 1)
