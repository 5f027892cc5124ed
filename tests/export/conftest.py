"""What the export makes of a small network, once per session."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from small_network import LENIENT, SIZE, lively_network, write_weights
from typer.testing import CliRunner

from microaunet.models.fuse import deploy
from microaunet_export.commands.export import app
from microaunet_export.commands.ranges import app as ranges_app
from microaunet_export.graph import export_graph
from microaunet_export.rewrite import for_gpu
from microaunet_runtime.images import synthetic


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of 12 synthetic frames with masks, for calibration."""
    folder = tmp_path_factory.mktemp("training")
    synthetic.write_set(folder, 12, seed=100, height=SIZE, width=SIZE)
    return folder


@pytest.fixture(scope="session")
def network() -> torch.nn.Module:
    """The training network of :func:`weights`."""
    return lively_network()


@pytest.fixture(scope="session")
def graphs(network: torch.nn.Module) -> dict[int, onnx.ModelProto]:
    """The FP32 graph by opset."""
    return {opset: export_graph(deploy(network), SIZE, SIZE, 0.5, opset) for opset in (17, 19)}


@pytest.fixture(scope="session")
def gpu_graphs(graphs: dict[int, onnx.ModelProto]) -> dict[int, onnx.ModelProto]:
    """What the files for GPUs are made of, by opset."""
    return {opset: for_gpu(graph, opset) for opset, graph in graphs.items()}


@pytest.fixture(scope="session")
def calibrated(weights: Path, images: Path) -> Path:
    """The weights, with calibration ranges beside them as shipped weights have them."""
    result = CliRunner().invoke(ranges_app, ["--weights", str(weights), "--calib", str(images)])
    assert result.exit_code == 0, result.output
    return weights


@pytest.fixture(scope="session")
def bundle_folder(calibrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with INT8; the gates are such as random weights can hold."""
    out = tmp_path_factory.mktemp("exported") / "bundle"
    result = CliRunner().invoke(app, ["--weights", str(calibrated), "--int8", *LENIENT, "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out
