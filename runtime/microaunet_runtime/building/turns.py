"""Whether INT8 is faster on this device: both engines are timed in turns, because clocks and heat drift."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np

from ..bundle import Bundle
from ..inference.tensorrt.backend import TensorRTBackend
from ..inference.tensorrt.engines import Engine
from ..inference.tensorrt.versions import TensorRT

WARM_UP_S = 1.0  # of each engine: clocks rise
BLOCK_S = 2.0  # of each turn
ROUNDS = 4  # turns of each engine; even, so that each goes first as often as the other

MARGIN = 0.03
"""INT8 must be faster than FP16 by more than this share, or its loss of accuracy is not worth it."""


@dataclass(frozen=True)
class Turns:
    """Two engines timed in turns.

    Attributes:
        int8_ms, fp16_ms: float (rounds,), the median of one inference in each turn.
    """

    int8_ms: np.ndarray
    fp16_ms: np.ndarray

    @property
    def ratio(self) -> float:
        """INT8's time over FP16's: the geometric mean over the rounds, in which a steady drift cancels."""
        return float(np.exp(np.log(self.int8_ms / self.fp16_ms).mean()))

    @property
    def int8_pays(self) -> bool:
        """Whether INT8 is faster by more than :data:`MARGIN`."""
        return self.ratio < 1 - MARGIN

    @property
    def title(self) -> str:
        """The text for people."""
        times = f"{np.median(self.int8_ms):.3f} ms against {np.median(self.fp16_ms):.3f} ms"
        return f"INT8 takes {self.ratio:.3f} of FP16's time in turns ({times})"


def in_turns(int8: Engine, fp16: Engine, bundle: Bundle, trt: TensorRT) -> Turns:
    """The times of two verified engines on the golden frames, in alternating blocks.

    Raises:
        InputError: this device cannot load one of them.
        MicroAUNetError: one of them failed while running.
    """
    manifest = bundle.manifest
    frames = [frame[None] for frame in bundle.golden().frames]
    with ExitStack() as stack:
        backends = [
            stack.enter_context(
                closing(
                    TensorRTBackend(
                        trt,
                        engine.read(),
                        str(engine.path),
                        engine.facts.precision,
                        manifest.height,
                        manifest.width,
                    )
                )
            )
            for engine in (int8, fp16)
        ]
        for backend in backends:
            _median_ms(backend, frames, WARM_UP_S)
        medians = np.empty((2, ROUNDS))
        for turn in range(ROUNDS):
            # A-B, then B-A: neither always follows the other.
            for side in (0, 1) if turn % 2 == 0 else (1, 0):
                medians[side, turn] = _median_ms(backends[side], frames, BLOCK_S)
    return Turns(medians[0], medians[1])


def _median_ms(backend: TensorRTBackend, frames: list[np.ndarray], seconds: float) -> float:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        backend.infer(frames[len(times) % len(frames)])
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))
