"""Tests that need an NVIDIA GPU. Without one they are skipped, and the reason is what the CUDA layer says."""

from __future__ import annotations

import pytest

from microaunet_runtime.building.build import build
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import MicroAUNetError, MissingDependencyError
from microaunet_runtime.inference import cuda
from microaunet_runtime.inference.tensorrt.engines import kept


@pytest.fixture(scope="session")
def gpu() -> cuda.Device:
    """This machine's GPU."""
    try:
        return cuda.device()
    except MicroAUNetError as error:
        pytest.skip(f"needs an NVIDIA GPU: {error}")


@pytest.fixture(scope="session", params=["fp32", "fp16", "int8"])
def built_bundle(
    request: pytest.FixtureRequest, gpu: cuda.Device, tmp_path_factory: pytest.TempPathFactory
) -> Bundle:
    """A bundle with one verified engine for this GPU; INT8 is ``int8-fp16`` wherever TensorRT reads opset 19.

    An engine that is wrong, or that the installed TensorRT refuses, fails the tests: it does not skip them.
    """
    pytest.importorskip("onnx", reason="the tiny bundle is made with onnx")
    from typed_graphs import write_typed_bundle

    bundle = Bundle(write_typed_bundle(tmp_path_factory.mktemp("gpu") / "bundle"))
    try:
        build(bundle, request.param)
    except MissingDependencyError as error:
        pytest.skip(f"no engine can be built for {gpu.title}: {error}")
    return bundle


@pytest.fixture(scope="session")
def precision(built_bundle: Bundle) -> str:
    """The precision of the bundle's engine."""
    (engine,) = kept(built_bundle)
    return engine.facts.precision
