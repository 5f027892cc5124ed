"""The ratio of two series of times that were measured side by side, with its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BOOTSTRAP_DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ratio:
    """Candidate time over baseline time, with its bootstrap interval. Above 1 the candidate is slower."""

    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``slower`` or ``faster`` when the whole interval lies on one side of 1, else ``same``."""
        if self.low > 1:
            return "slower"
        return "faster" if self.high < 1 else "same"

    def undecided(self, allowed: float) -> bool:
        """Whether the interval contains ``allowed``, so that more blocks are needed to decide."""
        return self.low <= allowed <= self.high

    def fails(self, allowed: float) -> bool:
        """Whether the candidate is too slow: the ratio is above ``allowed`` and the interval above 1."""
        return self.ratio > allowed and self.low > 1


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """Mean of the middle half along the last axis: nearly as precise as the mean, but robust to outliers."""
    ordered = np.sort(values, axis=-1)
    n = ordered.shape[-1]
    cut = n // 4
    return ordered[..., cut : n - cut].mean(axis=-1)


def ratio_of_medians(baseline: np.ndarray, candidate: np.ndarray, seed: int = 0) -> Ratio:
    """Ratio of medians with a block bootstrap.

    A block is what was timed between two openings of the sessions. Samples inside one are not independent
    (same memory layout, same neighbours on the machine), so each block gives one ratio of medians, and whole
    blocks are drawn.

    Args:
        baseline, candidate: milliseconds, float (blocks, samples), measured interleaved: row i of both is
            one block.

    Raises:
        ValueError: not the same number of blocks, fewer than two, or a time that is not positive.
    """
    baseline, candidate = np.asarray(baseline, np.float64), np.asarray(candidate, np.float64)
    if baseline.ndim != 2 or candidate.ndim != 2 or len(baseline) != len(candidate) or len(baseline) < 2:
        raise ValueError(f"blocks of shape {baseline.shape} against {candidate.shape}")
    if not (
        np.isfinite(baseline).all()
        and np.isfinite(candidate).all()
        and min(baseline.min(), candidate.min()) > 0
    ):
        raise ValueError("a time is not a positive number")
    logs = np.log(np.median(candidate, axis=1) / np.median(baseline, axis=1))
    draws = np.random.default_rng(seed).integers(0, len(logs), (BOOTSTRAP_DRAWS, len(logs)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(interquartile_mean(logs[draws]), (tail, 1 - tail))
    return Ratio(*(float(np.exp(value)) for value in (interquartile_mean(logs), low, high)))
