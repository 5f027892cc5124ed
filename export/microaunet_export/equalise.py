"""Channels of one tensor brought to one range, so that a single INT8 scale fits them all.

A ReLU passes a positive factor through. Where a convolution's output reaches only another convolution, each
channel is multiplied on the way out and divided on the way in. The factors are powers of two, which is exact
in floating point: the graph computes the very same values. (Cross-layer equalisation, arXiv 1906.04721.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, numpy_helper

# 2^4: with more, a channel that was silent in calibration would be blown up.
MOST = 4


def pairs(model: ModelProto) -> dict[str, tuple[NodeProto, NodeProto]]:
    """Convolutions joined by nothing but a ReLU: by the name of the second, (first, second)."""
    readers = Counter(name for node in model.graph.node for name in node.input)
    readers.update(output.name for output in model.graph.output)
    makers = {name: node for node in model.graph.node for name in node.output}
    found = {}
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        before = makers.get(node.input[0])
        if before is None or before.op_type != "Relu" or readers[before.output[0]] != 1:
            continue
        first = makers.get(before.input[0])
        if first is None or first.op_type != "Conv" or readers[first.output[0]] != 1:
            continue
        if all(readers[name] == 1 for name in (*first.input[1:], node.input[1])):  # weights of their own
            found[node.name] = (first, node)
    return found


def exponents(model: ModelProto, highest: Mapping[str, np.ndarray]) -> dict[str, list[int]]:
    """By convolution of :func:`pairs`, the power of two that each channel it reads is to be multiplied with.

    A depthwise convolution has a scale of its own for each channel, so its input is made level at no cost.
    For others the factor is the square root of that: what the input gains, the weights lose.

    Args:
        highest: by convolution, the highest value of each channel that it reads, float32 (C,).
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    found = {}
    for name, (_, second) in pairs(model).items():
        top = np.maximum(highest[name], 1e-12)
        gain = np.log2(top.max() / top)
        depthwise = _is_depthwise(weights[second.input[1]].dims)
        found[name] = [int(step) for step in np.clip(np.round(gain if depthwise else gain / 2), 0, MOST)]
    return {name: steps for name, steps in found.items() if any(steps)}


def equalise(model: ModelProto, steps: Mapping[str, Sequence[int]]) -> ModelProto:
    """A copy of ``model`` with the channels multiplied by 2**step between each pair named in ``steps``."""
    level = ModelProto()
    level.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in level.graph.initializer}

    def scale(name: str, factors: np.ndarray, axis: int) -> None:
        values = numpy_helper.to_array(weights[name])
        shape = [-1 if index == axis else 1 for index in range(values.ndim)]
        weights[name].CopyFrom(
            numpy_helper.from_array(values * factors.reshape(shape).astype(values.dtype), name)
        )

    for name, (first, second) in pairs(level).items():
        if name in steps:
            factors = np.exp2(np.array(steps[name], np.float32))
            for tensor in first.input[1:]:
                scale(tensor, factors, 0)
            scale(second.input[1], 1 / factors, 0 if _is_depthwise(weights[second.input[1]].dims) else 1)
    return level


def _is_depthwise(weight_shape: Sequence[int]) -> bool:
    """One input channel to each output channel."""
    return weight_shape[1] == 1 and weight_shape[0] > 1
