"""The latency of a backend on frames of its own size."""

from __future__ import annotations

import time

import numpy as np

from ..inference.backend import Backend

WARM_UP_RUNS = 20


def inference_ms(backend: Backend, frames: np.ndarray, runs: int, warm_up: int = WARM_UP_RUNS) -> list[float]:
    """Milliseconds of each of ``runs`` inferences after a warm-up.

    Args:
        frames: uint8 (N, H, W, 3) RGB at the graph's size, taken in turn.
    """
    times = []
    for run in range(warm_up + runs):
        frame = frames[run % len(frames)][None]
        start = time.perf_counter()
        backend.infer(frame)
        times.append((time.perf_counter() - start) * 1e3)
    return times[warm_up:]
