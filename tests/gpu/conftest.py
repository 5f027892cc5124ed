"""Tests that need an NVIDIA GPU. Without one they are skipped, and the reason is what the CUDA layer says."""

from __future__ import annotations

import pytest

from microaunet_runtime.building.build import build
from microaunet_runtime.building.compiling import BuildRefusedError
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import MicroAUNetError, MissingDependencyError
from microaunet_runtime.inference import cuda


@pytest.fixture(scope="session")
def gpu() -> cuda.Device:
    """This machine's GPU."""
    try:
        return cuda.device()
    except MicroAUNetError as error:
        pytest.skip(f"needs an NVIDIA GPU: {error}")


@pytest.fixture(scope="session")
def built_bundle(gpu: cuda.Device, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a verified FP32 engine for this GPU."""
    pytest.importorskip("onnx", reason="the tiny bundle is made with onnx")
    from redness import write_bundle

    bundle = Bundle(write_bundle(tmp_path_factory.mktemp("gpu") / "bundle"))
    try:
        build(bundle, "fp32")
    except (MissingDependencyError, BuildRefusedError) as error:  # a wrong engine fails, it does not skip
        pytest.skip(f"no engine can be built for {gpu.title}: {error}")
    return bundle
