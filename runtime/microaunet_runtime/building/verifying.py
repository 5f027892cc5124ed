"""An engine is kept only after it has run on its device and agreed with the PyTorch reference."""

from __future__ import annotations

import time
from dataclasses import asdict, replace

import numpy as np

from ..bundle import Bundle
from ..errors import GateError
from ..inference.tensorrt.backend import TensorRTBackend
from ..inference.tensorrt.engines import Engine
from ..inference.tensorrt.versions import TensorRT
from ..percentiles import summary
from ..verification.agreement import compare

TIMED_RUNS = 200
WARM_UP_RUNS = 20


def verified(engine: Engine, content: bytes, bundle: Bundle, trt: TensorRT) -> Engine:
    """``engine`` with its agreement on the golden frames and its latency on this device.

    Args:
        content: the serialised engine, which need not be on disk yet.

    Raises:
        GateError: it is not inside the tolerance of its precision.
        InputError: this device cannot load it.
    """
    manifest = bundle.manifest
    golden = bundle.golden()
    precision = engine.facts.precision
    backend = TensorRTBackend(
        trt, content, f"the new {precision} engine", precision, manifest.height, manifest.width
    )
    try:
        outputs = [[array.copy() for array in backend.infer(frame[None])] for frame in golden.frames]
        times = []
        for run in range(WARM_UP_RUNS + TIMED_RUNS):
            frame = golden.frames[run % len(golden.frames)][None]
            start = time.perf_counter()
            backend.infer(frame)
            times.append((time.perf_counter() - start) * 1e3)
    finally:
        backend.close()
    probability, mask = (np.concatenate(arrays) for arrays in zip(*outputs, strict=True))
    agreement = compare(probability, mask, golden.probability, manifest.threshold)
    if shortfall := agreement.shortfall(precision):
        raise GateError(f"it does not agree with the PyTorch reference: {shortfall}")
    return replace(engine, agreement=asdict(agreement), latency_ms=summary(times[WARM_UP_RUNS:]))
