"""The golden frames of a bundle through a backend: agreement with the reference, and latency."""

from __future__ import annotations

import time

import numpy as np

from ..bundle import Golden
from ..inference.backend import Backend, Outputs
from .agreement import Agreement, agreement_with

WARM_UP_RUNS = 20


def golden_agreement(backend: Backend, golden: Golden, threshold: float) -> Agreement:
    """Agreement of ``backend`` with the PyTorch reference on the golden frames.

    Args:
        threshold: the manifest's.
    """
    outputs = [backend.infer(frame[None]).copy() for frame in golden.frames]
    found = Outputs(*(np.concatenate(arrays) for arrays in zip(*outputs, strict=True)))
    return agreement_with(found, golden.probability, golden.presence, threshold)


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
