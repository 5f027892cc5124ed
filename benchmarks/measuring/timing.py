"""Many graphs timed side by side: in turns, with sessions reopened for every round."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microaunet_runtime.bench.timed_frames import COUNT, real_frames
from microaunet_runtime.images.synthetic import frame
from microaunet_runtime.inference.onnxruntime import OnnxRuntimeBackend

from .graphs import SIZE, MeasuredGraph

WARM_UP = 2
TURNS = 3
FRAMES = 5  # per turn
SLOW_MS = 50.0  # a network above this gets one frame a turn: its caches are cold either way


@dataclass(frozen=True)
class Times:
    """Milliseconds of one graph, float (rounds, samples).

    Attributes:
        wall: elapsed time.
        cpu: CPU time of the thread, without the waits that a busy machine adds.
    """

    wall: np.ndarray
    cpu: np.ndarray


def frames() -> tuple[list[np.ndarray], str]:
    """uint8 (1, SIZE, SIZE, 3): of the Kvasir test set below MICROAUNET_DATA, else synthetic; and which."""
    root = os.environ.get("MICROAUNET_DATA")
    if root:
        return [image[None] for image in real_frames(Path(root, "kvasir-seg"), SIZE, SIZE)], "real"
    return [frame(seed)[0][None] for seed in range(COUNT)], "synthetic"


def side_by_side(
    graphs: Sequence[MeasuredGraph], tensors: Sequence[np.ndarray], rounds: int, advance: Callable[[], object]
) -> dict[str, Times]:
    """Times on one ONNX Runtime thread, which is the caller's, by name of the graph."""
    models = {graph.name: graph.onnx.SerializeToString() for graph in graphs}
    times: dict[str, list[list[tuple[float, float]]]] = {name: [] for name in models}
    for round_ in range(rounds):
        backends = {
            name: OnnxRuntimeBackend(model, name, "fp32", SIZE, SIZE, threads=1)
            for name, model in models.items()
        }
        counts = {}
        for name, backend in backends.items():
            warm = [_time(backend, tensors[index]) for index in range(WARM_UP)]
            counts[name] = 1 if warm[-1][0] > SLOW_MS else FRAMES
            times[name].append([])
        for turn in range(TURNS):
            order = list(backends) if (round_ + turn) % 2 == 0 else list(backends)[::-1]
            for name in order:
                for index in range(counts[name]):
                    tensor = tensors[(turn * FRAMES + index) % len(tensors)]
                    times[name][-1].append(_time(backends[name], tensor))
        for backend in backends.values():
            backend.close()
        advance()
    return {name: _stacked(rows) for name, rows in times.items()}


def _stacked(rows: list[list[tuple[float, float]]]) -> Times:
    # A network near SLOW_MS may get one frame a turn in one round and more in another.
    width = min(map(len, rows))
    wall, cpu = np.moveaxis(np.array([row[:width] for row in rows]), -1, 0)
    return Times(wall, cpu)


def _time(backend: OnnxRuntimeBackend, tensor: np.ndarray) -> tuple[float, float]:
    """Wall and CPU milliseconds of one frame."""
    start, start_cpu = time.perf_counter(), time.thread_time()
    backend.infer(tensor)
    return (time.perf_counter() - start) * 1e3, (time.thread_time() - start_cpu) * 1e3
