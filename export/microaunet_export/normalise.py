"""Normalisation of a frame for a network, and how it is folded into the first convolution.

Networks are given ``(x / 255 - mean) / std``. In the graph this is ``(x - 255 mean) * 1 / (255 std)``, of
which the factor folds into convolutions that read the frame: zero padding stays zero. The shift does so only
where nothing is padded; elsewhere it stays an operator, because a folded one is wrong at the border.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from microaunet_runtime.errors import InputError

Channels = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of red, green and blue in 0..1, as the network was trained with."""

    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (*self.mean, *self.std)) or min(self.std) <= 0:
            raise InputError(
                f"normalisation by mean {self.mean} and std {self.std}: expected numbers, std above 0"
            )

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Uint8 (H, W, 3) RGB -> float32 (1, 3, H, W)."""
        scaled = frame.transpose(2, 0, 1)[None].astype(np.float32) / 255
        return (scaled - _column(self.mean)) / _column(self.std)


def _column(values: Channels) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 3, 1, 1)


class Normalised(nn.Module):
    """``network`` behind its normalisation.

    Args:
        network: anything from float32 (1, 3, H, W), normalised.
    """

    def __init__(self, network: nn.Module, normalisation: Normalisation) -> None:
        super().__init__()
        self.network = network
        self._mean = torch.from_numpy(255 * _column(normalisation.mean))
        self._factor = torch.from_numpy(1 / (255 * _column(normalisation.std)))

    def forward(self, x: Tensor) -> Tensor:
        """Float32 (1, 3, H, W) in 0..255 -> what the network returns."""
        if self._mean.any():
            x = x - self._mean
        result: Tensor = self.network(x * self._factor)
        return result


def fold(model: ModelProto) -> None:
    """Fold scales and shifts of the frame into the first convolutions, in place, where that is exact.

    Args:
        model: from :func:`~.graph.finish`; of a network's own normalisation, the part at its entrance too.
    """
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    start = next(node for node in graph.node if node.op_type == "Transpose").output[0]
    scale, shift = np.ones((3, 1, 1)), np.zeros((3, 1, 1))
    end, chain = start, list[NodeProto]()
    while len(readers[end]) == 1 and (step := _affine(readers[end][0], end, weights)):
        scale, shift = scale * step[0], shift * step[0] + step[1]
        chain += readers[end]
        end = chain[-1].output[0]
    convolutions = readers.get(end, [])
    foldable = all(
        node.op_type == "Conv"
        and node.input[0] == end
        and node.input[1] in weights
        and all(len(readers[name]) == 1 for name in node.input[1:])
        and _attribute(node, "group", 1) == 1
        for node in convolutions
    )
    if not chain or not convolutions or not foldable or not np.all(scale):
        return
    unpadded = not any(map(_is_padded, convolutions))
    keeps_shift = bool(shift.any()) and not unpadded
    for node in convolutions:
        kernel = numpy_helper.to_array(weights[node.input[1]]).astype(np.float64)
        if shift.any() and unpadded:
            moved = (kernel * shift).sum(axis=(1, 2, 3))
            if len(node.input) > 2:
                bias = weights[node.input[2]]
                bias.CopyFrom(_tensor(numpy_helper.to_array(bias) + moved, bias.name))
            else:
                node.input.append(f"{node.name}.bias")
                graph.initializer.append(_tensor(moved, node.input[2]))
        weights[node.input[1]].CopyFrom(_tensor(kernel * scale, node.input[1]))
    source = start
    if keeps_shift:
        source, name = chain[-1].output[0], f"{chain[0].name}.shift"
        graph.initializer.append(_tensor((shift / scale)[None], name))
        position = list(graph.node).index(chain[0])
        graph.node.insert(position, helper.make_node("Add", [start, name], [source], name=name))
    for node in chain:
        graph.node.remove(node)
        for name in node.input:
            if name in weights and len(readers[name]) == 1:
                graph.initializer.remove(weights[name])
    for node in convolutions:
        node.input[0] = source


def _affine(
    node: NodeProto, name: str, weights: dict[str, TensorProto]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Factor and summand (3, 1, 1) of a node that scales or shifts the channels of ``name``, else None."""
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.input) != 2:
        return None
    other = node.input[1 - list(node.input).index(name)]
    if other not in weights or (node.op_type in ("Sub", "Div") and node.input[0] != name):
        return None
    value = numpy_helper.to_array(weights[other]).astype(np.float64)
    if value.size == 1:
        value = np.full((3, 1, 1), value.reshape(()))
    elif value.shape in ((3, 1, 1), (1, 3, 1, 1)):
        value = value.reshape(3, 1, 1)
    else:
        return None
    one, zero = np.ones_like(value), np.zeros_like(value)
    if node.op_type in ("Mul", "Div"):
        return (value if node.op_type == "Mul" else 1 / value), zero
    return one, (value if node.op_type == "Add" else -value)


def _is_padded(node: NodeProto) -> bool:
    automatic = _attribute(node, "auto_pad", b"NOTSET")
    return automatic not in (b"NOTSET", b"VALID") or any(_attribute(node, "pads", ()))


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(item) for item in node.attribute if item.name == name), default)


def _tensor(values: np.ndarray, name: str) -> TensorProto:
    return numpy_helper.from_array(values.astype(np.float32), name)
