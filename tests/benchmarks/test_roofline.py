"""Layers of small graphs by hand, and the three bounds of one layer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from onnx import ModelProto, TensorProto, helper, numpy_helper

from benchmarks.measuring.layers import Layer, layers
from benchmarks.roofline import DEVICES, Board, draw, estimate


def graph(nodes: list, weights: dict[str, np.ndarray], outputs: list) -> ModelProto:
    frame = helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, 8, 8, 3])
    initialisers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    model = helper.make_graph(nodes, "small", [frame], outputs, initialisers)
    return helper.make_model(model, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def small() -> ModelProto:
    """Cast - Transpose - Conv 3 -> 4 - Relu (read twice) - Conv 4 -> 4 - Add - Relu."""
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], "cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], "planes", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "w1"], ["c1"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], "second"),
        helper.make_node("Add", ["r1", "c2"], ["sum"], "add"),
        helper.make_node("Relu", ["sum"], ["out"], "last"),
    ]
    weights = {"w1": np.ones((4, 3, 3, 3), np.float32), "w2": np.ones((4, 4, 1, 1), np.float32)}
    return graph(nodes, weights, [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 4, 8, 8])])


def test_layers_join_pointwise_operators_and_count_what_they_move(small: ModelProto) -> None:
    found = {layer.name: layer for layer in layers(small)}
    assert [layer.operators for layer in found.values()] == [
        ("Cast", "Transpose"),
        ("Conv", "Relu"),
        ("Conv", "Add", "Relu"),
    ]
    assert found["cast"] == Layer("cast", ("Cast", "Transpose"), 0, bytes_moved=192 + 192 * 4, int8=False)
    # planes, weights in; r1 out. c1 stays inside.
    assert found["first"].bytes_moved == 4 * (192 + 108 + 256)
    assert found["first"].macs == 256 * 27
    # r1 is read once although two operators of the layer use it.
    assert found["second"].bytes_moved == 4 * (256 + 16 + 256)
    assert found["second"].macs == 256 * 4


def test_bounds_by_hand() -> None:
    device = Board("board", {"fp16": 10.0, "int8": 20.0}, 100.0)
    layer = Layer("conv", ("Conv",), macs=5_000_000, bytes_moved=200_000, int8=False)
    # 1e7 operations at 1e13 a second, 2e5 bytes at 1e11 a second
    expected = {"compute": pytest.approx(1.0), "memory": pytest.approx(2.0), "launch": 3.0}
    assert device.bounds_us(layer, 3.0) == expected
    assert device.bounds_us(replace(layer, int8=True), 3.0) == {**expected, "compute": pytest.approx(0.5)}


def test_the_estimate_says_that_it_is_one_and_adds_up(small: ModelProto, tmp_path: Path) -> None:
    found = layers(small)
    figures = estimate(found, "int8", 2.0)
    assert "not a measurement" in figures["kind"]
    assert set(figures["devices"]) == {device.name for device in DEVICES}
    for row in figures["devices"].values():
        assert row["bound_us"] >= 2.0 * len(found)
        assert sum(row["layers_bound_by"].values()) == len(found)
        assert row["bound_us"] < row["likely_us"][0] < row["likely_us"][1]  # a bound is no forecast
    assert (figures["launches"], figures["bytes_moved"]) == (3, sum(layer.bytes_moved for layer in found))
    draw(tmp_path / "roof.png", found, {**figures, "measured": []})
    assert (tmp_path / "roof.png").read_bytes().startswith(b"\x89PNG")
