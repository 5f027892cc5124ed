"""Latencies of a run by stage, in memory that does not grow with the length of the run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..percentiles import percentile

WINDOW = 1 << 16
"""Frames over which percentiles are computed: the last 36 minutes at 30 frames per second."""


class Latencies:
    """The last :data:`WINDOW` latencies of each stage, in milliseconds."""

    def __init__(self) -> None:
        self._stages: dict[str, np.ndarray] = {}
        self._count = 0

    def add(self, latency_ms: Mapping[str, float]) -> None:
        """Add one frame; every frame has the same stages."""
        for stage, value in latency_ms.items():
            if stage not in self._stages:
                self._stages[stage] = np.full(WINDOW, np.nan, np.float32)
            self._stages[stage][self._count % WINDOW] = value
        self._count += 1

    def percentiles(self) -> dict[str, dict[str, float]]:
        """By stage: p50, p95, p99 and max."""
        kept = min(self._count, WINDOW)
        return {
            stage: {
                **{f"p{p}": round(percentile(values[:kept], p), 4) for p in (50, 95, 99)},
                "max": round(float(values[:kept].max()), 4),
            }
            for stage, values in self._stages.items()
        }
