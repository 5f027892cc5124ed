"""The FP16 graph: what is half, what is not, and how close it stays."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper
from small_network import SIZE

from microaunet.models import create
from microaunet.models.fuse import deploy
from microaunet_export.graph import GraphRunner, export_graph
from microaunet_export.half import to_half
from microaunet_export.quantize import convolutions
from microaunet_export.reference import Reference
from microaunet_runtime.errors import InputError
from microaunet_runtime.images import synthetic


@pytest.mark.parametrize("opset", [17, 19])
def test_weights_are_halves_and_outputs_keep_the_contract(
    graphs: dict[int, onnx.ModelProto], opset: int
) -> None:
    half = to_half(graphs[opset], opset)
    types = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    for node in convolutions(half):
        assert {types[name] for name in node.input[1:]} == {TensorProto.FLOAT16}
    assert [output.type.tensor_type.elem_type for output in half.graph.output] == [
        TensorProto.FLOAT,
        TensorProto.UINT8,
        TensorProto.FLOAT,
    ]
    assert half.opset_import[0].version == opset


def test_sigmoid_and_threshold_stay_in_float32(graphs: dict[int, onnx.ModelProto]) -> None:
    inferred = onnx.shape_inference.infer_shapes(to_half(graphs[17], 17))
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    makers = {node.output[0]: node for node in inferred.graph.node}
    assert types[makers["probability"].input[0]] == TensorProto.FLOAT
    greater = makers[makers[makers["mask"].input[0]].input[0]]
    assert (greater.op_type, greater.input[0]) == ("Greater", "probability"), "not cut from a rounded copy"


def test_close_to_the_reference(network: torch.nn.Module, graphs: dict[int, onnx.ModelProto]) -> None:
    runner, reference = GraphRunner(to_half(graphs[17], 17)), Reference(network)
    frame = synthetic.frame(1, SIZE, SIZE)[0]
    difference = np.abs(runner(frame)["probability"][0, 0] - reference(frame)[0])
    assert 0 < difference.max() < 0.02


def test_norms_over_whole_maps_stay_in_float32() -> None:
    torch.manual_seed(1)
    model = create("paper").eval()
    half = to_half(export_graph(deploy(model), 128, 128, 0.5, 17), 17)
    inferred = onnx.shape_inference.infer_shapes(half)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    norms = [node for node in half.graph.node if node.op_type == "InstanceNormalization"]
    assert len(norms) == 40
    assert {types[node.output[0]] for node in norms} == {TensorProto.FLOAT}


def test_a_weight_outside_the_range_of_a_half_is_refused(graphs: dict[int, onnx.ModelProto]) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(graphs[17])
    name = convolutions(model)[0].input[1]
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(1e6), name))
    with pytest.raises(InputError, match="float16"):
        to_half(model, 17)
