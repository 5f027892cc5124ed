"""Percentiles of a series of times, and the figures that summarise every timing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PERCENTILES = (50, 90, 95, 99)


def percentile(samples: Sequence[float] | np.ndarray, p: float) -> float:
    """The ``p``-th percentile as trtexec takes it: one of the samples, never interpolated.

    Raises:
        ValueError: no samples, or ``p`` outside 0..100.
    """
    n = len(samples)
    if n == 0 or not 0 <= p <= 100:
        raise ValueError(f"percentile {p} of {n} samples")
    return float(np.sort(np.asarray(samples, np.float64))[max(n - 1 - int((1 - p / 100) * n), 0)])


def summary(samples: Sequence[float] | np.ndarray) -> dict[str, float]:
    """p50, p90, p95, p99, min, max, mean and the spread of all samples; nothing is clipped.

    ``spread`` is (p90 - p50) / p50: how much slower the slow tenth is than the typical frame.
    """
    values = np.asarray(samples, np.float64)
    figures = {f"p{p}": percentile(values, p) for p in PERCENTILES}
    spread = (figures["p90"] - figures["p50"]) / figures["p50"] if figures["p50"] > 0 else 0.0
    return {
        **figures,
        "min": float(values.min()),
        "max": float(values.max()),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "spread": spread,
    }
