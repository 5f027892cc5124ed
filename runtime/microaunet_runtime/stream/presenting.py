"""From a segmented frame to its result: regions, area, overlay, and the age of the frame."""

from __future__ import annotations

import time

from ..images.overlay import area_fact, draw_overlay
from ..images.regions import find_boxes
from ..optional import opencv
from .result import Result
from .segmenter import Segmented
from .tracking import Tracker

STALE_MS = 500.0
"""A live frame older than this when it is shown is marked as stale."""


class Presenter:
    """Presents one source's frames in order, in one thread.

    Args:
        follow: frames follow each other in time, so regions keep their identity.
        overlay: draw the overlay.
        stale_ms: limit of a live frame's age, see :data:`STALE_MS`.
    """

    def __init__(self, *, follow: bool, overlay: bool, stale_ms: float = STALE_MS) -> None:
        self._follow = follow
        self._overlay = overlay
        self._stale_ms = stale_ms
        self._tracker = Tracker()

    def __call__(self, segmented: Segmented) -> Result:
        """The result of one frame."""
        frame, mask = segmented.frame, segmented.mask
        started = time.perf_counter()
        if not self._follow:
            self._tracker = Tracker()
        area = opencv().countNonZero(mask)
        regions = self._tracker(find_boxes(mask), frame.time_s)
        age_ms = 0.0 if frame.captured is None else (started - frame.captured) * 1e3
        stale = age_ms > self._stale_ms
        overlay = None
        if self._overlay:
            facts = [
                f"presence {segmented.presence:.3f}",
                area_fact(mask, segmented.view_pixels),
                f"{segmented.latency_ms['inference']:.1f} ms  {segmented.backend}",
            ]
            warning = f"STALE {age_ms:.0f} ms" if stale else ""
            overlay = draw_overlay(frame.image, mask, facts, bgr=frame.bgr, warning=warning)
        latency_ms = dict(segmented.latency_ms)
        latency_ms["overlay"] = (time.perf_counter() - started) * 1e3
        if frame.captured is None:
            latency_ms["end_to_end"] = sum(latency_ms.values())
        else:
            latency_ms["end_to_end"] = (time.perf_counter() - frame.captured) * 1e3
        return Result(
            frame=frame,
            mask=mask,
            presence=segmented.presence,
            area=area,
            share=area / segmented.view_pixels,
            regions=regions,
            region_count=self._tracker.count if self._follow else len(regions),
            overlay=overlay,
            latency_ms=latency_ms,
            stale=stale,
            lost=segmented.lost,
        )
