"""Networks as ONNX graphs of the bundle's contract, ready to be timed: as they ship or as published."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from onnx import ModelProto
from torch import Tensor, nn

from microaunet.models.fuse import deploy
from microaunet_export.graph import INPUT, OUTPUTS, DeployGraph, clean, export_graph, trace

SIZE = 256
OPSET = 17
THRESHOLD = 0.5


@dataclass(frozen=True)
class MeasuredGraph:
    """One network of a comparison.

    Attributes:
        network: float32 (N, 3, H, W) in 0..1 to logits.
        onnx: with the bundle's contract, at :data:`SIZE`.
    """

    name: str
    network: nn.Module
    onnx: ModelProto


class _Scaled(nn.Module):
    """A network that takes 0..1 behind the contract's 0..255."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x / 255)


def as_shipped(name: str, network: nn.Module) -> MeasuredGraph:
    """The graph that a bundle holds: folded, simplified."""
    return MeasuredGraph(name, network, export_graph(deploy(network), SIZE, SIZE, THRESHOLD, OPSET))


def as_published(name: str, network: nn.Module) -> MeasuredGraph:
    """The graph as ``torch.onnx`` writes it: nothing folded, nothing simplified."""
    frame = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
    contract = DeployGraph(_Scaled(network.eval()), THRESHOLD)
    traced = trace(contract, frame, (INPUT,), OUTPUTS, OPSET)
    return MeasuredGraph(name, network, clean(traced, OPSET))
