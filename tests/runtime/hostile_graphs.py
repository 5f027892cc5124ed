"""Graphs that keep a bundle's contract and do something else besides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from redness import restamp, tiny_graph


def looping_graph(height: int, width: int, times: int) -> bytes:
    """A graph that first counts to ``times`` in a Loop; from 2**60 on it never ends."""
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    def value(name: str, kind: int, shape: list[int]) -> object:
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["count", "one"], ["next"]),
        ],
        "body",
        [
            value("index", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("count", TensorProto.FLOAT, [1]),
        ],
        [value("go_on", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.ones(1, np.float32), "one")],
    )
    nodes = [
        helper.make_node("Loop", ["times", "true", "start"], ["end"], body=body),
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["float"], ["brightest"], axes=[3], keepdims=1),
        helper.make_node("Transpose", ["brightest"], ["plane"], perm=[0, 3, 1, 2]),
        helper.make_node("Add", ["plane", "end"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
        helper.make_node("Cast", ["probability"], ["mask"], to=TensorProto.UINT8),
        helper.make_node("ReduceMax", ["probability"], ["presence"], axes=[1, 2, 3], keepdims=0),
    ]
    constants = {"times": np.array(times, np.int64), "true": np.array(True), "start": np.zeros(1, np.float32)}
    graph = helper.make_graph(
        nodes,
        "looping",
        [value("frame", TensorProto.UINT8, [1, height, width, 3])],
        [
            value("probability", TensorProto.FLOAT, [1, 1, height, width]),
            value("mask", TensorProto.UINT8, [1, 1, height, width]),
            value("presence", TensorProto.FLOAT, [1]),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
    return model


def failing_graph(height: int, width: int) -> bytes:
    """A graph that loads, and fails on a frame whose red adds up to anything but zero.

    It gathers from two rows with that sum as the index, which is out of range then.
    """
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load_from_string(tiny_graph(height, width))
    graph = model.graph
    graph.node.extend(
        [
            helper.make_node("ReduceSum", ["float"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["rows", "index"], ["row"]),
            helper.make_node("Add", ["logits0", "row"], ["logits"]),
        ]
    )
    nodes = list(graph.node)
    nodes[2].output[0] = "logits0"
    del graph.node[:]
    graph.node.extend([*nodes[:3], *nodes[-4:], *nodes[3:-4]])
    graph.initializer.append(numpy_helper.from_array(np.zeros(2, np.float32), "rows"))
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def give(folder: Path, make: Callable[[int, int], bytes]) -> None:
    """Put another FP32 graph into the tiny bundle in ``folder``, and let its manifest agree."""
    (folder / "fp32.onnx").write_bytes(make(64, 96))
    restamp(folder, lambda manifest: manifest["artefacts"]["fp32"])
