"""Channels of one tensor brought to one range, so that a single INT8 scale fits them all.

ReLU, addition and nearest resizing pass a positive factor through. Where nothing else lies between
convolutions, each channel is multiplied on the way out of one and divided on the way into the next. The
factors are powers of two, which is exact in floating point: the graph computes the very same values.
(Cross-layer equalisation, arXiv 1906.04721, extended to shortcuts.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

# 2^4: with more, a channel that was silent in calibration would be blown up.
MOST = 4


@dataclass
class Stream:
    """Convolutions that write into connected tensors, and those that read them; they share their channels."""

    writers: list[NodeProto] = field(default_factory=list)
    readers: list[NodeProto] = field(default_factory=list)

    @property
    def name(self) -> str:
        """That of the first writer."""
        return self.writers[0].name


def streams(model: ModelProto) -> list[Stream]:
    """The streams of a graph whose channels can be multiplied and divided again."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    uses = Counter(name for node in model.graph.node for name in node.input)
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            name = root[name]
        return name

    fixed = {value.name for value in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        joined = _passes_through(node)
        own = all(uses[name] == 1 for name in node.input[1:])  # weights that no other convolution has
        if joined and not set(joined) & set(weights):
            for name in joined:
                root[find(name)] = find(joined[0])
        elif node.op_type != "Conv" or not own:
            fixed.update((*node.input, *node.output))

    frozen = {find(name) for name in fixed}
    found: dict[str, Stream] = {}
    for node in model.graph.node:
        if node.op_type == "Conv":
            _, per_group, *_ = weights[node.input[1]].dims
            if per_group == 1 or _groups(node) == 1:
                found.setdefault(find(node.input[0]), Stream()).readers.append(node)
            else:
                frozen.add(find(node.input[0]))
            found.setdefault(find(node.output[0]), Stream()).writers.append(node)
    return [
        stream
        for key, stream in found.items()
        if key not in frozen and stream.writers and stream.readers and _of_one_width(stream, weights)
    ]


def _of_one_width(stream: Stream, weights: Mapping[str, TensorProto]) -> bool:
    """Whether all have the same channels: a sum may repeat a single one."""
    written = {weights[node.input[1]].dims[0] for node in stream.writers}
    read = {weights[node.input[1]].dims[0 if _groups(node) > 1 else 1] for node in stream.readers}
    grouped = {_groups(node) for node in stream.readers} - {1}
    return len(written | read | grouped) == 1


def exponents(model: ModelProto, highest: Mapping[str, np.ndarray]) -> dict[str, list[int]]:
    """By stream, the power of two that each channel is to be multiplied with; level streams are left out.

    A depthwise convolution has a scale of its own for each channel, so what only such read is made level at
    no cost. For others the factor is the square root of that: what the input gains, the weights lose.

    Args:
        highest: by convolution, the highest value of each channel that it reads, float32 (C,).
    """
    found = {}
    for stream in streams(model):
        top = np.maximum(np.max([highest[node.name] for node in stream.readers], axis=0), 1e-12)
        gain = np.log2(top.max() / top)
        free = all(_groups(node) > 1 for node in stream.readers)
        found[stream.name] = [int(step) for step in np.clip(np.round(gain if free else gain / 2), 0, MOST)]
    return {name: steps for name, steps in found.items() if any(steps)}


def equalise(model: ModelProto, steps: Mapping[str, Sequence[int]]) -> ModelProto:
    """A copy of ``model`` with the channels of the streams named in ``steps`` multiplied by 2**step."""
    level = ModelProto()
    level.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in level.graph.initializer}

    def scale(name: str, factors: np.ndarray, axis: int) -> None:
        values = numpy_helper.to_array(weights[name])
        shape = [-1 if index == axis else 1 for index in range(values.ndim)]
        weights[name].CopyFrom(numpy_helper.from_array(values * factors.reshape(shape), name))

    for stream in streams(level):
        if stream.name in steps:
            factors = np.exp2(np.array(steps[stream.name], np.float32))
            for node in stream.writers:
                for name in node.input[1:]:
                    scale(name, factors, 0)
            for node in stream.readers:
                scale(node.input[1], 1 / factors, 0 if _groups(node) > 1 else 1)
    return level


def _passes_through(node: NodeProto) -> list[str]:
    """The tensors of ``node`` that carry one factor, when it is such an operator."""
    if node.op_type in ("Relu", "Add"):
        return [*node.input, *node.output]
    nearest = any(item.name == "mode" and item.s == b"nearest" for item in node.attribute)
    return [node.input[0], node.output[0]] if node.op_type == "Resize" and nearest else []


def _groups(node: NodeProto) -> int:
    return next((item.i for item in node.attribute if item.name == "group"), 1)
