"""The kernels that TensorRT is expected to make of an ONNX graph, with what each computes and moves."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto

from microaunet_export.launches import expected
from microaunet_export.shapes import Shapes


@dataclass(frozen=True)
class Layer:
    """One expected kernel.

    Attributes:
        bytes_moved: what it reads and writes, weights included, each tensor once.
        int8: whether it multiplies in INT8.
    """

    name: str
    operators: tuple[str, ...]
    macs: int
    bytes_moved: int
    int8: bool


def layers(model: ModelProto) -> list[Layer]:
    """The layers of a graph of fixed shapes, in order; its tensors count with their types in the graph."""
    shapes = Shapes(model)
    return [
        Layer(
            name=kernel.name,
            operators=kernel.operators,
            macs=sum(map(shapes.macs, kernel.nodes)),
            bytes_moved=sum(map(shapes.bytes, (*kernel.reads, *kernel.writes))),
            int8=kernel.int8,
        )
        for kernel in expected(model).kernels
    ]
