"""An engine is kept only after it has run on its device and agreed with the PyTorch reference."""

from __future__ import annotations

from dataclasses import asdict, replace

from ..bundle import Bundle
from ..errors import GateError
from ..inference import cuda
from ..inference.agreement import golden_agreement
from ..inference.tensorrt.backend import TensorRTBackend
from ..inference.tensorrt.engines import Engine
from ..inference.tensorrt.versions import TensorRT
from ..percentiles import summary
from ..verification.inference_time import inference_ms

TIMED_RUNS = 200


def gpu_lost() -> bool:
    """Whether this process can no longer use the GPU: after a kernel's illegal access all calls fail."""
    context = cuda.provider().context()
    try:
        with context.current():
            context.destroy_stream(context.create_stream())
    except cuda.CudaError:
        return True
    return False


def verified(engine: Engine, content: bytes, bundle: Bundle, trt: TensorRT) -> Engine:
    """``engine`` with its layers, its agreement on the golden frames and its latency on this device.

    Args:
        content: the serialised engine, which need not be on disk yet.

    Raises:
        GateError: it is not inside the tolerance of its precision.
        InputError: this device cannot load it.
        MicroAUNetError: it fails on a frame, or its output is not a valid probability and mask.
    """
    manifest = bundle.manifest
    golden = bundle.golden()
    precision = engine.facts.precision
    backend = TensorRTBackend(
        trt, content, f"the new {precision} engine", precision, manifest.height, manifest.width
    )
    try:
        agreement = golden_agreement(backend, golden, manifest.threshold)
        times = inference_ms(backend, golden.frames, TIMED_RUNS)
    finally:
        backend.close()
    if shortfall := agreement.shortfall(manifest.tolerances[precision], gpu=True):
        raise GateError(f"it does not agree with the PyTorch reference: {shortfall}")
    return replace(
        engine,
        layers=backend.layers,
        agreement=asdict(agreement),
        latency_ms=summary(times),
    )
