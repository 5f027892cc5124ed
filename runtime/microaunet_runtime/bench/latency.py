"""Latency of a session, stage by stage, from a source frame to the overlay."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..images.overlay import area_fact, draw_overlay
from ..images.resize import resize_frame
from ..inference.backend import GpuTimed
from ..inference.session import Session
from ..percentiles import percentile, summary

STAGES = ("preprocess", "inference", "postprocess", "overlay", "end_to_end")

OVERHEAD = "overhead"  # what a frame costs beside inference with no overlay: preprocess and postprocess

WARM_UP = 20  # frames: first calls allocate, pick kernels, and on a GPU raise the clocks
SOURCE_SIZE = (1080, 1920)  # height, width of the frames that are timed end to end


@dataclass(frozen=True)
class Trace:
    """The times after the warm-up.

    Attributes:
        started_s: float (n,), seconds since the first timed frame.
        stages_ms: by stage of :data:`STAGES`, float (n,) milliseconds.
        warm_up_ms: float (w,), end to end; reported, but not part of any figure.
    """

    started_s: np.ndarray
    stages_ms: dict[str, np.ndarray]
    warm_up_ms: np.ndarray

    def figures(self) -> dict[str, Any]:
        """The JSON keys ``frames``, ``fps``, ``warm_up`` and ``latency_ms`` (by stage, and overhead)."""
        return {
            "frames": len(self.started_s),
            "fps": 1e3 / percentile(self.stages_ms["end_to_end"], 50),
            "warm_up": {
                "frames": len(self.warm_up_ms),
                "excluded": True,
                "first_ms": float(self.warm_up_ms[0]),
                "last_ms": float(self.warm_up_ms[-1]),
            },
            "latency_ms": {
                **{stage: summary(times) for stage, times in self.stages_ms.items()},
                OVERHEAD: summary(self.stages_ms["preprocess"] + self.stages_ms["postprocess"]),
            },
        }

    def over_time(self, bins: int = 120) -> list[dict[str, float]]:
        """End-to-end p50 and p99 in equal slices of the run, in which an effect of heat shows as a rise."""
        slices = np.array_split(np.arange(len(self.started_s)), min(bins, len(self.started_s)))
        times = self.stages_ms["end_to_end"]
        return [
            {
                "start_s": float(self.started_s[part[0]]),
                "p50": percentile(times[part], 50),
                "p99": percentile(times[part], 99),
            }
            for part in slices
        ]


def measure(
    session: Session,
    frames: Sequence[np.ndarray],
    *,
    count: int,
    duration_s: float = 0.0,
    advance: Callable[[], object] = lambda: None,
) -> Trace:
    """The times of ``frames``, run repeatedly.

    Args:
        session: an open session.
        frames: uint8 (h, w, 3) BGR, as a decoder or camera gives them.
        count: least number of timed frames.
        duration_s: continue until this many seconds have passed as well.
        advance: called after each timed frame, outside the timing.
    """
    rows: list[tuple[float, ...]] = []
    warm_up = [_time_one(session, frames[index % len(frames)])[-1] for index in range(WARM_UP)]
    start = time.perf_counter()
    while len(rows) < count or time.perf_counter() - start < duration_s:
        started = time.perf_counter() - start
        rows.append((started, *_time_one(session, frames[len(rows) % len(frames)])))
        advance()
    columns = np.array(rows).T
    return Trace(columns[0], dict(zip(STAGES, columns[1:], strict=True)), np.array(warm_up))


def measure_gpu(session: Session, frames: Sequence[np.ndarray], count: int) -> dict[str, Any] | None:
    """The GPU's own time of ``count`` inferences, without the host's part; None if the backend has none.

    Args:
        frames: as in :func:`measure`.

    Returns:
        The JSON key ``gpu``: ``frames``, ``latency_ms`` as percentiles, and ``check``, a command.
    """
    backend = session.backend
    if not isinstance(backend, GpuTimed):
        return None
    tensors = [
        resize_frame(np.ascontiguousarray(frame[:, :, ::-1]), session.height, session.width)[None]
        for frame in frames
    ]
    times = [backend.gpu_ms(tensors[index % len(tensors)]) for index in range(WARM_UP + count)][WARM_UP:]
    return {"frames": count, "latency_ms": summary(times), "check": backend.gpu_check()}


def _time_one(session: Session, frame: np.ndarray) -> tuple[float, ...]:
    """Milliseconds of every stage of one frame, in the order of :data:`STAGES`."""
    start = time.perf_counter()
    prediction = session.run(frame, bgr=True)
    segmented = time.perf_counter()
    facts = [area_fact(prediction.mask, prediction.mask.size), f"{prediction.latency_ms['inference']:.1f} ms"]
    draw_overlay(frame, prediction.mask, facts, bgr=True)
    end = time.perf_counter()
    stages = prediction.latency_ms
    return (
        *(stages[stage] for stage in STAGES[:3]),
        (end - segmented) * 1e3,
        (end - start) * 1e3,
    )
