"""No form that TensorRT is known to refuse travels in a bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hand_made import Drawing
from onnx import ModelProto, TensorProto, numpy_helper

from microaunet_export import exporting
from microaunet_export.refused import refusals
from microaunet_runtime.bundle import Bundle


def test_no_file_of_a_bundle_is_of_a_refused_form(bundle_folder: Path) -> None:
    bundle = Bundle(bundle_folder)
    for precision in bundle.manifest.artefacts:
        assert refusals(onnx.load(bundle.artefact(precision)[0])) == []


def test_a_depthwise_convolution_from_int8_to_float() -> None:
    d = Drawing()
    d.op("Relu", d.conv(d.pair(d.x, "x"), "space", kernel=3, depthwise=True, int8=True), name="end")
    assert refusals(d.model("end.out")) == [
        "space is a depthwise convolution that reads INT8 and writes float"
    ]
    d.conv(d.pair("end.out", "end"), "next", int8=True)
    assert refusals(d.model("next.out")) == []


def test_one_dequantised_weight_for_several_convolutions() -> None:
    d = Drawing()
    first = d.conv(d.pair(d.x, "x"), "first", int8=True)
    d.op("Conv", d.pair(first, "y"), "first.wdq.out", "first.b", name="second")
    assert refusals(d.model("second.out")) == ["first.wdq dequantises a weight for several convolutions"]


@pytest.fixture
def int8() -> ModelProto:
    """A convolution in INT8."""
    d = Drawing()
    d.conv(d.pair(d.x, "x"), "conv", int8=True)
    return d.model("conv.out")


def replaced(model: ModelProto, name: str, values: np.ndarray) -> ModelProto:
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    return model


def test_zero_points_and_types_of_scales(int8: ModelProto) -> None:
    assert refusals(int8) == []
    assert refusals(replaced(int8, "x.z", np.array(3, np.int8))) == [
        "x.q has a zero point other than 0",
        "x.dq has a zero point other than 0",
    ]
    replaced(int8, "x.z", np.array(0, np.int8))
    half = replaced(int8, "x.s", np.array(0.1, np.float16))
    assert refusals(half) == ["the scales are of several types"]


def test_an_int32_bias() -> None:
    d = Drawing()
    d.weight("b", np.zeros(8, np.int32))
    bias = d.op("DequantizeLinear", "b", d.weight("s", [0.1]), name="bias")
    d.op("Conv", d.x, d.weight("w", np.ones((8, 8, 1, 1), np.float32)), bias, name="conv")
    assert "bias dequantises an INT32 bias" in refusals(d.model("conv.out"))


def test_uint8_that_meets_more_than_casts() -> None:
    d = Drawing(element=TensorProto.UINT8)
    d.op("Cast", d.op("Transpose", d.x, perm=[0, 2, 3, 1], name="turn"), to=TensorProto.FLOAT, name="cast")
    assert refusals(d.model("cast.out")) == ["turn touches uint8 and is no Cast"]
    d = Drawing()
    above = d.op("Greater", d.x, d.weight("threshold", [0.5]))
    d.op("Cast", above, to=TensorProto.UINT8, name="mask")
    assert refusals(d.model("mask.out")) == ["mask makes uint8 of what is not cast to floating point before"]


def test_the_export_stops_at_a_refused_form(int8: ModelProto, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the int8 graph would be refused by TensorRT"):
        exporting._write(tmp_path, "int8", replaced(int8, "x.z", np.array(1, np.int8)), 17)
    assert not list(tmp_path.iterdir())
