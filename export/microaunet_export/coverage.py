"""What a graph costs, and how much of it was really quantised, counted from the ONNX file itself."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import ModelProto

from .launches import VIEWS, expected
from .shapes import Shapes


@dataclass(frozen=True)
class Cost:
    """The cost of one frame.

    Attributes:
        nodes: operators, constants not counted.
        macs: multiply-accumulates of convolutions and matrix products.
        bytes_moved: what all operators read and write, each on its own: an upper bound, fusion saves some.
        launches: kernels that TensorRT is expected to launch (:mod:`.launches`); not measured on a GPU.
    """

    nodes: int
    convolutions: int
    macs: int
    bytes_moved: int
    launches: int


@dataclass(frozen=True)
class Quantised:
    """Convolutions and their MACs in INT8, and of all; MACs of matrix products count as not quantised."""

    convolutions_int8: int
    convolutions: int
    macs_int8: int
    macs: int

    @property
    def convolutions_percent(self) -> float:
        """Share of the convolutions in percent."""
        return 100 * self.convolutions_int8 / max(1, self.convolutions)

    @property
    def macs_percent(self) -> float:
        """Share of the MACs in percent."""
        return 100 * self.macs_int8 / max(1, self.macs)


def cost(model: ModelProto) -> Cost:
    """Count ``model``, a graph of fixed shapes."""
    shapes = Shapes(model)
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    return Cost(
        nodes=len(nodes),
        convolutions=sum(node.op_type == "Conv" for node in nodes),
        macs=sum(map(shapes.macs, nodes)),
        bytes_moved=sum(
            shapes.bytes(name)
            for node in nodes
            if node.op_type not in VIEWS
            for name in (*node.input, *node.output)
        ),
        launches=len(expected(model).kernels),
    )


def quantised(model: ModelProto) -> Quantised:
    """How many convolutions of ``model`` read both their input and their weights from a dequantiser."""
    graph = Shapes(model)
    dequantised = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    chosen = [node for node in convolutions if {node.input[0], node.input[1]} <= dequantised]
    return Quantised(
        len(chosen), len(convolutions), sum(map(graph.macs, chosen)), sum(map(graph.macs, model.graph.node))
    )
