"""The GPU's time beside the host's, on a GPU that is simulated."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from redness import polyp_frame
from simulated_gpu import HEIGHT, SLOW, SLOW_S, WIDTH, SimulatedGpu, simulated_tensorrt

from microaunet_runtime.bench.latency import measure_gpu
from microaunet_runtime.inference.session import Session
from microaunet_runtime.inference.tensorrt import backend as backend_module
from microaunet_runtime.inference.tensorrt.backend import TensorRTBackend


def test_the_gpus_time_comes_with_the_command_that_checks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = SimulatedGpu()
    monkeypatch.setattr(backend_module, "provider", lambda: gpu)
    monkeypatch.delitem(sys.modules, "polygraphy.backend.trt.util", raising=False)
    backend = TensorRTBackend(simulated_tensorrt(gpu), SLOW, "x/fp16.engine", "fp16", HEIGHT, WIDTH)
    with Session(backend, HEIGHT, WIDTH, threshold=0.5) as session:
        found = measure_gpu(session, [polyp_frame(1080, 1920, 900, 500, 200)], count=5)
    assert found is not None
    assert found["frames"] == 5
    assert found["latency_ms"]["p50"] >= SLOW_S * 1e3
    assert found["check"].startswith("trtexec --loadEngine=x/fp16.engine")


def test_a_backend_on_the_cpu_has_no_gpu_time() -> None:
    class OnTheCpu:
        name, precision, note = "cpu", "fp32", ""

        def infer(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            raise AssertionError("nothing is to be run")

        def close(self) -> None:
            """Nothing is held."""

    session = Session(OnTheCpu(), HEIGHT, WIDTH, threshold=0.5)
    assert measure_gpu(session, [polyp_frame(64, 96, 30, 30, 10)], count=5) is None
