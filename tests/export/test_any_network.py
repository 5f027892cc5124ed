"""Networks and ONNX files from elsewhere become verified INT8 bundles, or are refused by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from foreign_networks import SmallUNet, WithSigmoid, lively
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from small_network import LENIENT, SIZE
from torch import nn
from typer.testing import CliRunner, Result

from microaunet_export import onnx_file
from microaunet_export.commands.export import app
from microaunet_export.graph import GraphRunner
from microaunet_export.normalise import Normalisation
from microaunet_export.onnx_file import OnnxReference
from microaunet_runtime.building.build import available_builder
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.commands.run.command import app as run_app
from microaunet_runtime.errors import InputError
from microaunet_runtime.images import synthetic

FORMS = ["fp32", "fp16", "int8", "int8-fp16"]
IMAGENET = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")


def export(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write_onnx(path: Path, network: nn.Module, opset: int = 17, dynamic: bool = True, **kwargs: Any) -> Path:
    axes = {0: "n", 2: "h", 3: "w"}
    torch.onnx.export(
        lively(network),
        (torch.zeros(1, 3, SIZE, SIZE),),
        path,
        opset_version=opset,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": axes, "logits": axes} if dynamic else None,
        dynamo=False,
        **kwargs,
    )
    return path


def check_bundle(out: Path, record: Path, tmp_path: Path) -> None:
    """What is asked of every bundle: verified, run by the runtime, and compiled where there is a compiler."""
    bundle = Bundle(out)
    bundle.check()
    assert list(bundle.manifest.artefacts) == FORMS
    assert bundle.manifest.verification["fp32"]["golden"]["max_abs_difference"] <= 1e-4
    share = bundle.manifest.artefacts["int8"].facts["quantised"]
    assert share["convolutions_int8"] > 0
    synthetic.write_set(tmp_path / "frames", 2, seed=7, height=90, width=120)
    arguments = ["--bundle", out, "--source", tmp_path / "frames" / "images", "--out", tmp_path / "masks"]
    result = CliRunner().invoke(
        run_app, [*map(str, arguments), "--precision", "int8", "--backend", "onnxruntime"]
    )
    assert result.exit_code == 0, result.output
    if available_builder():
        assert len(json.loads(record.read_text())["engines"]) == len(FORMS)


def test_a_pytorch_network_becomes_a_verified_int8_bundle(images: Path, tmp_path: Path) -> None:
    weights, out, record = tmp_path / "my lab.safetensors", tmp_path / "bundle", tmp_path / "record.json"
    save_file(lively(SmallUNet()).state_dict(), weights)
    result = export(
        *("--network", "foreign_networks:SmallUNet", "--weights", weights, "--size", SIZE, *IMAGENET),
        *("--int8", "--calib", images, *LENIENT, "--out", out, "--json", record),
    )
    assert result.exit_code == 0, result.output
    check_bundle(out, record, tmp_path)
    manifest = Bundle(out).manifest
    assert manifest.name == "my_lab"
    assert manifest.model["architecture"] == "foreign_networks:SmallUNet"
    assert manifest.model["normalisation"]["std"] == [0.229, 0.224, 0.225]
    assert manifest.calibration is not None
    assert manifest.calibration["images"] == 12


@pytest.mark.slow
def test_an_onnx_file_becomes_a_verified_int8_bundle(images: Path, tmp_path: Path) -> None:
    file = write_onnx(tmp_path / "lab.onnx", SmallUNet(), opset=13)
    out, record = tmp_path / "bundle", tmp_path / "record.json"
    result = export(
        *("--onnx", file, "--size", f"{SIZE}x{2 * SIZE}", *IMAGENET),
        *("--int8", "--calib", images, *LENIENT, "--out", out, "--json", record),
    )
    assert result.exit_code == 0, result.output
    check_bundle(out, record, tmp_path)
    manifest = Bundle(out).manifest
    assert (manifest.height, manifest.width) == (SIZE, 2 * SIZE)
    first = next(
        node for node in onnx.load(out / "fp32.onnx").graph.node if node.op_type not in ("Cast", "Transpose")
    )
    assert first.op_type == "Add", "the shift stays before a padded convolution, the scale is folded"


@pytest.mark.parametrize(("network", "opset"), [(SmallUNet(), 18), (WithSigmoid(), 17)])
def test_newer_opsets_and_a_sigmoid_of_its_own_change_nothing(
    network: nn.Module, opset: int, tmp_path: Path
) -> None:
    file = onnx_file.load(write_onnx(tmp_path / "new.onnx", network, opset), (SIZE, SIZE))
    reference = OnnxReference(file, Normalisation())
    frame = synthetic.frame(2, SIZE, SIZE)[0]
    graph = file.deployed(Normalisation(), 0.5, 17)
    probability, presence = reference(frame)
    found = GraphRunner(graph)(frame)
    np.testing.assert_allclose(found["probability"][0, 0], probability, atol=1e-5)
    np.testing.assert_allclose(found["presence"], presence, atol=1e-5)


def graph_of(nodes: list[onnx.NodeProto], **changes: Any) -> onnx.ModelProto:
    """A small file of one's own, with what ``changes`` says about its ends."""
    shape = changes.get("shape", [1, 3, SIZE, SIZE])
    kind = changes.get("kind", TensorProto.FLOAT)
    kernel = np.full((1, 3, 1, 1), changes.get("weight", 0.1), np.float32)
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    inputs += [helper.make_tensor_value_info(name, kind, shape) for name in changes.get("more", ())]
    outputs = [helper.make_tensor_value_info("y", changes.get("gives", TensorProto.FLOAT), list("abcd"))]
    graph = helper.make_graph(nodes, "g", inputs, outputs, [numpy_helper.from_array(kernel, "w")])
    opsets = [helper.make_opsetid("", changes.get("opset", 17)), helper.make_opsetid("com.lab", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


CONV = helper.make_node("Conv", ["x", "w"], ["y"])
HALF = helper.make_node("Conv", ["x", "w"], ["z"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (graph_of([CONV], shape=["n", 3, "h", "w"]), r"\['n', 3, 'h', 'w'\] as 'x'.*choose one with --size"),
        (graph_of([CONV], shape=[4, 3, SIZE, SIZE]), r"expected float \[1, 3, H, W\], N left open or 1"),
        (graph_of([CONV], shape=[1, 3, SIZE]), r"expected float \[1, 3, H, W\]"),
        (graph_of([HALF, helper.make_node("Softmax", ["z"], ["y"])]), "ends in Softmax, expected logits"),
        (
            graph_of([HALF, helper.make_node("MaxPool", ["z"], ["y"], kernel_shape=[2, 2], strides=[2, 2])]),
            r"gives float32 \(1, 1, 32, 32\) as 'y'",
        ),
        (
            graph_of([HALF, helper.make_node("Greater", ["z", "z"], ["y"])], gives=TensorProto.BOOL),
            r"gives bool",
        ),
        (graph_of([HALF, helper.make_node("Add", ["z", "b"], ["y"])], more=["b"]), "has the inputs x, b and"),
        (graph_of([HALF, helper.make_node("Warp", ["z"], ["y"], domain="com.lab")]), "operators of com.lab"),
        (
            graph_of([HALF, helper.make_node("RandomNormalLike", ["z"], ["y"])]),
            "holds RandomNormalLike, which this export does not handle",
        ),
        (graph_of([CONV], weight=np.nan), "NaN or infinity in w"),
    ],
)
def test_what_cannot_be_handled_is_refused_by_name(
    model: onnx.ModelProto, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "lab.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match=rf"lab\.onnx {message}|lab\.onnx .*{message}"):
        onnx_file.load(path)


def test_an_operator_without_a_place_in_opset_17_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lab.onnx"
    onnx.save(graph_of([HALF, helper.make_node("Mish", ["z"], ["y"])], opset=18), path)
    with pytest.raises(
        InputError, match=r"opset 18 and cannot be written in opset 17 .*export it with opset 17"
    ):
        onnx_file.load(path).deployed(Normalisation(), 0.5, 17)


def test_damaged_and_divided_files_are_refused(tmp_path: Path) -> None:
    whole = write_onnx(tmp_path / "whole.onnx", SmallUNet(16), dynamic=False)
    half = tmp_path / "half.onnx"
    half.write_bytes(whole.read_bytes()[:900])
    with pytest.raises(InputError, match=r"half\.onnx is not a complete ONNX file"):
        onnx_file.load(half)
    divided = tmp_path / "divided.onnx"
    onnx.save(onnx.load(whole), divided, save_as_external_data=True, size_threshold=0)
    with pytest.raises(InputError, match=r"divided\.onnx keeps its weights in another file"):
        onnx_file.load(divided)
    with pytest.raises(InputError, match="--size asks for 32 x 32"):
        onnx_file.load(whole, (32, 32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--network", "foreign_networks:SmallUNet"), "needs --weights FILE"),
        (("--network", "foreign_networks:TwoClasses", "--weights", "WEIGHTS"), "one class"),
        (("--network", "foreign_networks:WithSigmoid", "--weights", "WEIGHTS"), "ends in Sigmoid"),
        (("--network", "edge", "--weights", "WEIGHTS"), "does not fit 'edge'"),
        (("--weights", "WEIGHTS"), "--network package.module:factory"),
        (("--onnx", "absent.onnx"), "absent.onnx is not a file"),
        (("--onnx", "absent.onnx", "--weights", "joint"), "leave out --weights"),
        (("--mean", "0.5"), "takes frames in 0..1"),
        (("--mean", "0.5,0.5"), "one number or three"),
        (("--std", "0"), "std above 0"),
        (("--size", "12"), "from 32 to 4096"),
        (("--triton", "FOLDER"), "holds other things"),
    ],
)
def test_bad_requests_are_one_line_and_leave_nothing(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(SmallUNet().state_dict(), weights)
    places = {"WEIGHTS": str(weights), "FOLDER": str(tmp_path)}
    filled = [places.get(argument, argument) for argument in arguments]
    result = export(*filled, "--out", tmp_path / "bundle")
    assert (result.exit_code, message in " ".join(result.output.split())) == (2, True), result.output
    assert not (tmp_path / "bundle").exists()


def call(module: str, *arguments: object) -> None:
    """A command in a process of its own: MONAI imports Polygraphy, which takes one TensorRT per process."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(find_spec("monai") is None, reason="MONAI is not installed (pip install monai)")
def test_a_monai_unet_is_trained_exported_and_run(images: Path, tmp_path: Path) -> None:
    sets = {
        "architecture": "foreign_networks:monai_unet",
        "distillation": "null",
        "size": SIZE,
        "stored_size": SIZE,
        "resolutions": f"[[0.0, {SIZE}]]",
        "epochs": 8,
        "batch": 2,
        "ema_decay": 0.5,
    }
    changes = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    run = tmp_path / "run"
    call(
        "microaunet.commands.train",
        *("--data", images, "--out", run, "--cache", tmp_path / "cache", "--device", "cpu", *changes),
    )
    out, record = tmp_path / "bundle", tmp_path / "record.json"
    call(
        "microaunet_export.commands.export",
        *("--network", "foreign_networks:monai_unet", "--weights", run / "weights.safetensors"),
        *("--int8", "--calib", images, *LENIENT, "--out", out, "--json", record),
    )
    check_bundle(out, record, tmp_path)
