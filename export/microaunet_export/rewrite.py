"""Exact rewrites for GPUs: the same function in fewer kernels.

The FP32 file stays as it is, since a CPU runs it: there a copy costs more than a launch.

- Every convolution has weights of its own: what several share is copied, as each use is quantised on its own.
- The mean over a whole map is an average pooling: TensorRT turns the one into the other, but TensorRT-RTX
  first copies a large map into another layout for a mean.
- A linear map of a mean is the mean of a linear map. Where a 1x1 convolution reads the mean of what another
  1x1 convolution made (the gate of an attention), both become one convolution with twice the channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from .graph import clean
from .shapes import Shapes

# A launch's worth on a Jetson Orin, by estimate: a merge that adds more costs more than it saves.
MOST_MACS = 4_000_000

# What reads a slice of a tensor in place, at no cost.
_POINTWISE = frozenset({"Add", "Mul", "Sub", "Sigmoid", "Relu", "HardSigmoid", "Tanh"})


def for_gpu(model: ModelProto, opset: int) -> ModelProto:
    """A copy of ``model``, an FP32 graph of fixed shapes, after all rewrites."""
    rewritten = ModelProto()
    rewritten.CopyFrom(model)
    _copy_shared_weights(rewritten)
    for found in _gates(rewritten):
        _merge(rewritten, found)
    _pool_means(rewritten)
    _drop_unread_weights(rewritten)
    return clean(rewritten, opset)


def _copy_shared_weights(model: ModelProto) -> None:
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    taken: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Conv":
            for index, name in enumerate(node.input):
                if name in taken and name in tensors:
                    _give(model, node, index, numpy_helper.to_array(tensors[name]))
            taken.update(node.input[1:])


@dataclass(frozen=True)
class _Gate:
    """A 1x1 convolution ``value``, the ``mean`` of its output, and the 1x1 convolution ``gate`` of that.

    ``depthwise`` are the convolutions that read ``value`` channel by channel.
    """

    value: NodeProto
    mean: NodeProto
    gate: NodeProto
    depthwise: tuple[NodeProto, ...]


def _gates(model: ModelProto) -> list[_Gate]:
    """Where a mean's linear map can move before the mean, and all else reads channels one by one."""
    graph, shapes = model.graph, Shapes(model)
    makers = {name: node for node in graph.node for name in node.output}
    outputs = {value.name for value in graph.output}
    tensors = _tensors(model)
    weights = set(tensors)

    def readers(name: str) -> list[NodeProto]:
        return [node for node in graph.node if name in node.input]

    def pointwise(name: str) -> bool:
        return name not in outputs and all(node.op_type in _POINTWISE for node in readers(name))

    found = []
    for gate in graph.node:
        mean = makers.get(gate.input[0]) if gate.op_type == "Conv" else None
        if mean is None or not _is_mean(mean, shapes, tensors) or not _is_linear(gate, shapes, weights):
            continue
        value = makers.get(mean.input[0])
        if value is None or value.op_type != "Conv" or not _is_linear(value, shapes, weights):
            continue
        name = value.output[0]
        others = [node for node in readers(name) if node is not mean]
        depthwise = tuple(node for node in others if node.op_type == "Conv")
        if (
            name not in outputs
            and len(readers(mean.output[0])) == 1
            and pointwise(gate.output[0])
            and all(node in depthwise or node.op_type in _POINTWISE for node in others)
            and all(_is_depthwise(node, shapes, weights) and pointwise(node.output[0]) for node in depthwise)
            and _added_macs(shapes, value, gate, depthwise) <= MOST_MACS
        ):
            found.append(_Gate(value, mean, gate, depthwise))
    return found


def _added_macs(shapes: Shapes, value: NodeProto, gate: NodeProto, depthwise: tuple[NodeProto, ...]) -> int:
    """The multiply-accumulates that merging adds: the gate for each pixel, depthwise kernels of zeros."""
    channels, inputs = shapes.of(value.input[1])[:2]
    gates = shapes.of(gate.input[1])[0]
    pixels = math.prod(shapes.of(value.output[0])[2:])
    return pixels * gates * inputs + sum(shapes.macs(node) for node in depthwise) * gates // channels


def _is_mean(node: NodeProto, shapes: Shapes, tensors: dict[str, np.ndarray]) -> bool:
    """Whether ``node`` is the mean over height and width of a map, which stay as axes of length 1."""
    shape = shapes.of(node.input[0])
    if len(shape) != 4 or node.op_type != "ReduceMean":
        return len(shape) == 4 and node.op_type == "GlobalAveragePool"
    attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
    axes = attributes.get("axes", tensors.get(node.input[1], []) if len(node.input) > 1 else [])
    return bool(attributes.get("keepdims", 1)) and sorted(int(axis) % 4 for axis in axes) == [2, 3]


def groups(node: NodeProto) -> int:
    """The groups of a convolution."""
    return next((item.i for item in node.attribute if item.name == "group"), 1)


def _is_linear(node: NodeProto, shapes: Shapes, weights: set[str]) -> bool:
    """Whether a convolution of a map is 1x1 with stride 1, without padding and groups, by known weights."""
    integers = {item.name: list(item.ints) for item in node.attribute}
    plain = set(integers.get("strides", [1])) == {1} and not any(integers.get("pads", []))
    return (
        plain
        and groups(node) == 1
        and set(node.input[1:]) <= weights
        and shapes.of(node.input[1])[2:] == (1, 1)
    )


def _is_depthwise(node: NodeProto, shapes: Shapes, weights: set[str]) -> bool:
    """Whether a convolution has a kernel per channel and as many outputs as inputs."""
    channels = shapes.of(node.input[0])[1]
    return node.input[1] in weights and shapes.of(node.input[1])[:2] == (channels, 1) == (groups(node), 1)


def _merge(model: ModelProto, gate: _Gate) -> None:
    """Let ``value`` make its channels and, behind them, what ``gate`` makes of each pixel."""
    graph = model.graph
    tensors = _tensors(model)
    weight, bias = _linear(gate.value, tensors)
    outer, offset = _linear(gate.gate, tensors)
    channels, gates = len(weight), len(outer)
    joined = np.concatenate([weight, outer @ weight])
    _give(model, gate.value, 1, joined[:, :, None, None])
    _give(model, gate.value, 2, np.concatenate([bias, outer @ bias + offset]))

    name = gate.value.output[0]
    _slice(model, gate.mean.output[0], gate.gate.output[0], channels, channels + gates, gate.gate)
    graph.node.remove(gate.gate)
    for node in gate.depthwise:
        own = tensors[node.input[1]]
        _give(model, node, 1, np.concatenate([own, np.zeros((gates, *own.shape[1:]))]))
        if len(node.input) > 2:
            _give(model, node, 2, np.concatenate([tensors[node.input[2]], np.zeros(gates)]))
        next(item for item in node.attribute if item.name == "group").i = channels + gates
        wide, narrow = f"{node.name}.wide", node.output[0]
        node.output[0] = wide
        _slice(model, wide, narrow, 0, channels, node)
    part = f"{name}.first"
    for node in graph.node:
        if node.op_type in _POINTWISE:
            node.input[:] = [part if tensor == name else tensor for tensor in node.input]
    _slice(model, name, part, 0, channels, gate.value)


def _tensors(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def _linear(node: NodeProto, tensors: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Matrix (outputs, inputs) and offset (outputs,) of a 1x1 convolution, float64."""
    matrix = tensors[node.input[1]][:, :, 0, 0].astype(np.float64)
    return matrix, tensors[node.input[2]].astype(np.float64) if len(node.input) > 2 else np.zeros(len(matrix))


def _give(model: ModelProto, node: NodeProto, index: int, values: np.ndarray) -> None:
    """Give ``node`` a float32 weight of its own."""
    name = f"{node.name}.input{index}"
    kept = [tensor for tensor in model.graph.initializer if tensor.name != name]
    kept.append(numpy_helper.from_array(values.astype(np.float32), name))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    if index < len(node.input):
        node.input[index] = name
    else:
        node.input.append(name)


def _slice(model: ModelProto, source: str, target: str, start: int, end: int, beside: NodeProto) -> None:
    """Add the slice of channels ``start`` to ``end``, after what makes ``source``."""
    name = f"{beside.name}/Slice"
    bounds = {"input1": start, "input2": end, "input3": 1}
    for key, value in bounds.items():
        model.graph.initializer.append(helper.make_tensor(f"{name}.{key}", TensorProto.INT64, [1], [value]))
    node = helper.make_node("Slice", [source, *(f"{name}.{key}" for key in bounds)], [target], name)
    maker = next(index for index, node in enumerate(model.graph.node) if source in node.output)
    model.graph.node.insert(maker + 1, node)


def _pool_means(model: ModelProto) -> None:
    """Turn means over whole maps into average poolings."""
    shapes, tensors = Shapes(model), _tensors(model)
    for node in model.graph.node:
        if _is_mean(node, shapes, tensors):
            height_width = shapes.of(node.input[0])[2:]
            node.op_type = "AveragePool"
            del node.attribute[:], node.input[1:]
            node.attribute.append(helper.make_attribute("kernel_shape", list(height_width)))


def _drop_unread_weights(model: ModelProto) -> None:
    """Keep the weights that are read, in the order of their names."""
    read = {name for node in model.graph.node for name in node.input}
    kept = sorted((t for t in model.graph.initializer if t.name in read), key=lambda tensor: tensor.name)
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
