"""Whether a candidate bundle is slower than its baseline, measured reliably on a noisy machine.

Both are measured in one process, alternating every few frames, so that other load on the machine affects both
equally. Between blocks both sessions are closed and opened again, because where memory happens to lie makes a
session faster or slower for its whole life. When the interval cannot tell pass from fail, blocks are added.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..inference.backend import Backend
from .ratio import Ratio, ratio_of_medians


@dataclass(frozen=True)
class Side:
    """One side of the comparison: how its backend is opened, and its frames.

    Attributes:
        frames: uint8 (1, H, W, 3) RGB at the graph's size.
    """

    open: Callable[[], Backend]
    frames: Sequence[np.ndarray]


@dataclass(frozen=True)
class Sampling:
    """The amount of measurement.

    Attributes:
        blocks: least number of blocks; more are added in steps of half as many.
        max_blocks: most blocks.
        turns: turns of each side in a block.
        frames: frames per turn: enough to warm the caches, few enough for both sides to see the same noise.
        warm_up: frames after opening that are not counted.
    """

    blocks: int = 12
    max_blocks: int = 72
    turns: int = 6
    frames: int = 5
    warm_up: int = 5


@dataclass(frozen=True)
class LatencyComparison:
    """The ratio, the times it was computed from, and whether the candidate is fast enough.

    Attributes:
        baseline_ms, candidate_ms: float (blocks, samples).
    """

    ratio: Ratio
    allowed: float
    baseline_ms: np.ndarray
    candidate_ms: np.ndarray

    @property
    def passed(self) -> bool:
        return not self.ratio.fails(self.allowed)

    def figures(self) -> dict[str, object]:
        """The JSON keys of the latency part of ``microaunet-bench regression``."""
        return {
            "ratio": self.ratio.ratio,
            "low": self.ratio.low,
            "high": self.ratio.high,
            "verdict": self.ratio.verdict,
            "allowed": self.allowed,
            "passed": self.passed,
            "decided": not self.ratio.undecided(self.allowed),
            "blocks": len(self.baseline_ms),
            "samples_per_block": self.baseline_ms.shape[1],
            "baseline_p50_ms": float(np.median(self.baseline_ms)),
            "candidate_p50_ms": float(np.median(self.candidate_ms)),
        }


def compare_latency(
    baseline: Side,
    candidate: Side,
    *,
    allowed: float = 1.10,
    sampling: Sampling = Sampling(),
    advance: Callable[[], object] = lambda: None,
) -> LatencyComparison:
    """The comparison, measured until the interval lies on one side of ``allowed`` or the blocks run out.

    Args:
        baseline, candidate: reopened for every block.
        advance: called after each block.
    """
    times: list[tuple[np.ndarray, np.ndarray]] = []
    target = sampling.blocks
    while True:
        while len(times) < target:
            times.append(_block((baseline, candidate), sampling, swap=len(times) % 2 == 1))
            advance()
        baseline_ms, candidate_ms = (np.stack(side) for side in zip(*times, strict=True))
        ratio = ratio_of_medians(baseline_ms, candidate_ms)
        if not ratio.undecided(allowed) or target >= sampling.max_blocks:
            return LatencyComparison(ratio, allowed, baseline_ms, candidate_ms)
        target = min(target + max(sampling.blocks // 2, 1), sampling.max_blocks)


def _block(sides: tuple[Side, Side], sampling: Sampling, *, swap: bool) -> tuple[np.ndarray, np.ndarray]:
    """Milliseconds of both sides in one block, (turns * frames,) each; ``swap`` opens the candidate first."""
    order = (1, 0) if swap else (0, 1)
    backends: dict[int, Backend] = {}
    times: tuple[list[float], list[float]] = ([], [])
    try:
        for side in order:
            backends[side] = sides[side].open()
        for side in order:
            _run(backends[side], sides[side].frames, sampling.warm_up)
        for turn in range(sampling.turns):
            # A-B then B-A: neither side always runs after the other.
            for side in order if turn % 2 == 0 else order[::-1]:
                times[side].extend(
                    _run(backends[side], sides[side].frames, sampling.frames, turn * sampling.frames)
                )
    finally:
        for backend in backends.values():
            backend.close()
    return np.array(times[0]), np.array(times[1])


def _run(backend: Backend, frames: Sequence[np.ndarray], count: int, first: int = 0) -> list[float]:
    times = []
    for index in range(first, first + count):
        frame = frames[index % len(frames)]
        start = time.perf_counter()
        backend.infer(frame)
        times.append((time.perf_counter() - start) * 1e3)
    return times
