"""Small networks in the four forms that an export writes: what NVIDIA's builder is asked to accept."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from redness import BIAS, WEIGHTS, write_bundle

from microaunet_runtime.bundle.manifest import Artefact, Manifest

OPSETS = {"fp32": 17, "fp16": 17, "int8": 17, "int8-fp16": 19}


def typed_graph(precision: str, height: int, width: int, extra_node: str = "") -> bytes:
    """The redness network with a hidden layer of 32; Q/DQ around the convolutions in the INT8 forms.

    ``extra_node`` is the type of a node between the convolutions, for graphs that are to be refused.
    """
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    half = precision in ("fp16", "int8-fp16")
    kind, dtype = (TensorProto.FLOAT16, np.float16) if half else (TensorProto.FLOAT, np.float32)
    quantised = precision.startswith("int8")
    # The first hidden channel is redness, positive in every frame made here; the last layer reads only it.
    first = np.random.default_rng(0).normal(0, 0.2, (32, 3, 3, 3))
    first[0] = 0
    first[0, :, 1, 1] = WEIGHTS
    last = np.zeros((1, 32, 1, 1))
    last[0, 0] = 1
    largest = {"x1": 1.0, "weight1": 20.0, "x2": 20.0, "weight2": 1.0}
    constants = {
        "scale": np.array(1 / 255, dtype),
        "threshold": np.array(0.5, np.float32),
        "weight1": first.astype(dtype),
        "weight2": last.astype(dtype),
        "bias": np.array([BIAS], dtype),
        "zero": np.array(0, np.int8),
        "axes": np.array([1, 2, 3], np.int64),
        **{f"{name}_step": np.array(value / 127, dtype) for name, value in largest.items()},
    }
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=kind),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Mul", ["planes", "scale"], ["x1"]),
    ]

    def through_int8(name: str) -> str:
        if not quantised:
            return name
        nodes.append(helper.make_node("QuantizeLinear", [name, f"{name}_step", "zero"], [f"{name}_q"]))
        nodes.append(
            helper.make_node("DequantizeLinear", [f"{name}_q", f"{name}_step", "zero"], [f"{name}_dq"])
        )
        return f"{name}_dq"

    nodes.append(
        helper.make_node("Conv", [through_int8("x1"), through_int8("weight1")], ["y1"], pads=[1] * 4)
    )
    nodes.append(
        helper.make_node(extra_node or "Relu", ["y1"], ["x2"], domain="made.up" if extra_node else "")
    )
    nodes.append(helper.make_node("Conv", [through_int8("x2"), through_int8("weight2"), "bias"], ["y2"]))
    nodes += [
        helper.make_node("Cast", ["y2"], ["logits"], to=TensorProto.FLOAT),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
        helper.make_node("Greater", ["probability", "threshold"], ["above"]),
        helper.make_node("Cast", ["above"], ["mask"], to=TensorProto.UINT8),
        helper.make_node("ReduceMax", ["probability"], ["presence"], axes=[1, 2, 3], keepdims=0)
        if OPSETS[precision] < 18
        else helper.make_node("ReduceMax", ["probability", "axes"], ["presence"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        precision,
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, height, width, 3])],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, 1, height, width]),
            helper.make_tensor_value_info("mask", TensorProto.UINT8, [1, 1, height, width]),
            helper.make_tensor_value_info("presence", TensorProto.FLOAT, [1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSETS[precision]), helper.make_opsetid("made.up", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def write_typed_bundle(folder: Path, refused: tuple[str, ...] = ()) -> Path:
    """Write a bundle with all four forms; TensorRT has no layer for those named by ``refused``."""
    write_bundle(folder, biases=dict.fromkeys(OPSETS, -8.0))
    manifest = Manifest.load(folder)
    artefacts = {}
    for precision, opset in OPSETS.items():
        extra = "NoSuchLayer" if precision in refused else ""
        model = typed_graph(precision, manifest.height, manifest.width, extra)
        (folder / f"{precision}.onnx").write_bytes(model)
        digest = hashlib.sha256(model).hexdigest()
        artefacts[precision] = Artefact(f"{precision}.onnx", digest, len(model), precision, opset, nodes=8)
    replace(manifest, artefacts=artefacts).save(folder)
    return folder
