"""Forms that some TensorRT refuses or nobody has shown to work, looked for before a graph travels."""

from __future__ import annotations

from collections import Counter

from onnx import ModelProto, TensorProto, numpy_helper

from .launches import expected
from .rewrite import groups


def refusals(model: ModelProto) -> list[str]:
    """What of ``model`` is known to be refused, a sentence each; empty for a graph that may travel.

    - 8.6 has no kernel for a depthwise convolution from INT8 to float (TensorRT issue 4060).
    - Zero points must be 0, and all scales of a graph of one type (the parser's own check).
    - A dequantised INT32 bias is refused by the parser.
    - A dequantised weight that several convolutions read is untested before TensorRT 11.
    - Only a Cast may touch the uint8 of frame and mask; a mask is cast from floating point, not from bool.
    """
    return [*_pairs(model), *_depthwise(model), *_edges(model)]


def _pairs(model: ModelProto) -> list[str]:
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers = Counter(name for node in graph.node for name in node.input)
    found, types = [], set()
    constant = set(weights)
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        types.add(weights[node.input[1]].data_type)
        if len(node.input) > 2 and numpy_helper.to_array(weights[node.input[2]]).any():
            found.append(f"{node.name} has a zero point other than 0")
        if node.input[0] in weights and weights[node.input[0]].data_type == TensorProto.INT32:
            found.append(f"{node.name} dequantises an INT32 bias")
        if node.input[0] in constant:
            constant.add(node.output[0])
            if node.op_type == "DequantizeLinear" and readers[node.output[0]] > 1:
                found.append(f"{node.name} dequantises a weight for several convolutions")
    if len(types) > 1:
        found.append("the scales are of several types")
    return found


def _depthwise(model: ModelProto) -> list[str]:
    return [
        f"{kernel.name} is a depthwise convolution that reads INT8 and writes float"
        for kernel in expected(model).kernels
        if kernel.int8 and groups(kernel.nodes[0]) > 1 and kernel.operators[-1] != "QuantizeLinear"
    ]


def _edges(model: ModelProto) -> list[str]:
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    edges = {
        value.name
        for value in (*graph.input, *graph.output)
        if value.type.tensor_type.elem_type == TensorProto.UINT8
    }
    found = [
        f"{node.name} touches uint8 and is no Cast"
        for node in graph.node
        if node.op_type != "Cast" and edges & {*node.input, *node.output}
    ]
    for name in edges & set(makers):
        maker = makers.get(makers[name].input[0])
        if maker is None or maker.op_type != "Cast":
            found.append(f"{makers[name].name} makes uint8 of what is not cast to floating point before")
    return found
