"""The figures of the page besides the picture: rates, latencies, presence over time, events."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from ..percentiles import percentile
from ..stream.events import Events
from ..stream.result import Result

WINDOW_S = 10.0
"""Seconds over which rates and percentiles are computed."""

HISTORY_S = 60.0
"""Seconds that the chart shows."""

LOST_MS = 500.0
"""A source that gives frames in time counts as lost after this many ms without one."""

_MOST_FRAMES = 5000  # in the window, whatever the rate
_EVENTS_SHOWN = 12


class Status:
    """Sums up a run as it goes. :meth:`add` is called from the run, the rest from the server.

    Args:
        events: of the run.
        period_s: seconds between two frames of the source.
    """

    def __init__(self, events: Events, period_s: float, tick_s: float) -> None:
        self._events = events
        self._lost_ms = max(LOST_MS, 2500 * period_s)
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=_MOST_FRAMES)
        self._latest: Result | None = None
        self._latest_at = 0.0
        self._highest: float | None = None
        self._history: deque[float | None] = deque(maxlen=round(HISTORY_S / tick_s))

    def add(self, result: Result) -> None:
        """Take in one result."""
        now = time.perf_counter()
        latency = result.latency_ms
        with self._lock:
            self._recent.append((now, latency["inference"], latency["end_to_end"]))
            self._latest, self._latest_at = result, now
            self._highest = max(self._highest or 0.0, result.presence)

    def history(self) -> list[float | None]:
        """The highest presence of each tick, oldest first; None where no frame came."""
        return list(self._history)

    def tick(self) -> dict[str, Any]:
        """The present figures as plain data; adds a point to the history."""
        now = time.perf_counter()
        with self._lock:
            while self._recent and self._recent[0][0] < now - WINDOW_S:
                self._recent.popleft()
            recent = list(self._recent)
            result, highest = self._latest, self._highest
            self._highest = None
        age_ms = None if result is None else (now - self._latest_at) * 1e3
        lost = age_ms is not None and age_ms > self._lost_ms
        if highest is None and result is not None and not lost:
            highest = result.presence  # a slow source is no gap
        point = None if highest is None else round(highest, 4)
        self._history.append(point)
        return {
            "fps": _rate([at for at, _, _ in recent]),
            "latency_ms": {
                "inference": _figures([inference for _, inference, _ in recent]),
                "end_to_end": _figures([end_to_end for _, _, end_to_end in recent]),
            },
            "age_ms": None if age_ms is None else round(age_ms),
            "lost": lost,
            "point": point,
            "events": self._events.record()[-_EVENTS_SHOWN:],
            **({} if result is None else _facts(result)),
        }


def _facts(result: Result) -> dict[str, Any]:
    height, width = result.frame.image.shape[:2]
    return {
        "frame": result.frame.index,
        "size": [width, height],
        "presence": round(result.presence, 4),
        "area_percent": round(100 * result.share, 2),
        "regions": len(result.regions),
        "region_count": result.region_count,
        "stale": result.stale,
    }


def _rate(times: Sequence[float]) -> float:
    """Frames per second of frames at ``times``."""
    return round((len(times) - 1) / (times[-1] - times[0]), 1) if len(times) > 1 else 0.0


def _figures(samples: Sequence[float]) -> dict[str, float] | None:
    return {f"p{p}": round(percentile(samples, p), 2) for p in (50, 99)} if samples else None
