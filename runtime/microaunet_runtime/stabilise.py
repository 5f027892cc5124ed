"""Temporal stabilisation: a mask that does not flicker, and flashes that never show.

The probability is smoothed over time. A region must pass the threshold somewhere to appear, and stays while
it is above a lower one (hysteresis). Tiny regions are not shown. Smoothing costs delay: see
:func:`delay_frames`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .images import opencv


@dataclass(frozen=True)
class Stabilisation:
    """How strongly a mask is stabilised.

    Attributes:
        weight: of the newest frame at 25 frames per second, from 0 to 1 (1: no smoothing). Below the
            threshold: what is seen in a single frame, however surely, never shows.
        margin: a region is what lies above ``threshold - margin``; it is shown if some of it is above
            ``threshold``, or was shown in the frame before.
        least_share: smaller regions, in share of the view, are not shown.
        memory_s: after a gap longer than this, smoothing begins anew.
    """

    weight: float = 0.45
    margin: float = 0.2
    least_share: float = 0.002
    memory_s: float = 0.5


_REFERENCE_FPS = 25.0


class Stabiliser:
    """Turns one source's probabilities into masks. Frames must come in order."""

    def __init__(self, threshold: float, settings: Stabilisation | None = None) -> None:
        self.settings = settings or Stabilisation()
        self._high = threshold
        self._low = max(threshold - self.settings.margin, threshold / 2)
        self._smooth: np.ndarray | None = None
        self._shown: np.ndarray | None = None
        self._time_s = 0.0

    def reset(self) -> None:
        """Forget what was seen: the next frame begins anew."""
        self._smooth = self._shown = None

    def __call__(self, probability: np.ndarray, time_s: float) -> np.ndarray:
        """The stabilised mask, uint8 (H, W), of a probability, float32 (H, W), seen at ``time_s``."""
        elapsed = time_s - self._time_s
        if (
            self._smooth is None
            or self._smooth.shape != probability.shape
            or not 0 <= elapsed <= self.settings.memory_s
        ):
            # The first frame after a gap counts as little as any other: a flash shows nothing.
            self._smooth = probability * np.float32(self.settings.weight)
            self._shown = None
        else:
            # The same smoothing per second at any frame rate, also when a live source drops frames.
            old = np.float32((1 - self.settings.weight) ** (elapsed * _REFERENCE_FPS))
            self._smooth *= old
            self._smooth += (1 - old) * probability
        self._time_s = time_s
        self._shown = self._regions(self._smooth)
        return self._shown.copy()

    def _regions(self, smooth: np.ndarray) -> np.ndarray:
        cv2 = opencv()
        mask = (smooth > self._low).view(np.uint8)
        if not mask.any():
            return mask
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        shown = np.zeros(count, np.uint8)
        sure = smooth > self._high
        if self._shown is not None:
            sure |= self._shown > 0
        shown[np.unique(labels[sure])] = 1
        shown[stats[:, cv2.CC_STAT_AREA] < self.settings.least_share * mask.size] = 0
        shown[0] = 0
        kept: np.ndarray = shown[labels]
        return kept


def delay_frames(settings: Stabilisation, probability: float, threshold: float) -> int:
    """How many frames later than without smoothing a region that appears with ``probability`` is shown.

    Raises:
        ValueError: ``probability`` never passes ``threshold``.
    """
    if probability <= threshold:
        raise ValueError(f"{probability} does not pass {threshold}")
    if settings.weight == 1:
        return 0
    return max(0, math.ceil(math.log(1 - threshold / probability) / math.log(1 - settings.weight)) - 1)
