"""What a graph costs, and how much of it was really quantised, counted from the ONNX file itself."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import onnx
from onnx import ModelProto, NodeProto

# Change the shape only: no kernel runs and no byte moves.
VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Constant", "Shape"})

# One value in, one value out: a GPU compiler joins them to the kernel that made what they alone read.
POINTWISE = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Erf", "Neg", "Reciprocal", "Greater", "Where"),
        *("Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Gelu", "Cast"),
        *("QuantizeLinear", "DequantizeLinear", "BatchNormalization"),
    }
)

_BYTES = {"FLOAT": 4, "FLOAT16": 2, "UINT8": 1, "INT8": 1, "BOOL": 1, "INT32": 4, "INT64": 8}


@dataclass(frozen=True)
class Cost:
    """The cost of one frame.

    Attributes:
        nodes: operators, constants not counted.
        macs: multiply-accumulates of convolutions and matrix products.
        bytes_moved: what all operators read and write, each on its own: an upper bound, fusion saves some.
        launches: kernels that a GPU is expected to launch; an estimate, a pointwise operator that alone reads
            another's output counts as fused with it.
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
    """The cost of ``model``, a graph of fixed shapes."""
    graph = Shapes(model)
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    readers = Counter(name for node in nodes for name in node.input)
    made = {name for node in nodes if node.op_type not in VIEWS for name in node.output}
    launches, moved = 0, 0
    for node in nodes:
        if node.op_type in VIEWS:
            continue
        moved += sum(graph.bytes(name) for name in (*node.input, *node.output))
        fused = node.op_type in POINTWISE and any(name in made and readers[name] == 1 for name in node.input)
        launches += not fused
    convolutions = sum(node.op_type == "Conv" for node in nodes)
    return Cost(len(nodes), convolutions, sum(map(graph.macs, nodes)), moved, launches)


def quantised(model: ModelProto) -> Quantised:
    """How many convolutions of ``model`` read both their input and their weights from a dequantiser."""
    graph = Shapes(model)
    dequantised = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    chosen = [node for node in convolutions if {node.input[0], node.input[1]} <= dequantised]
    return Quantised(
        len(chosen), len(convolutions), sum(map(graph.macs, chosen)), sum(map(graph.macs, model.graph.node))
    )


class Shapes:
    """Shapes and sizes of all tensors of a graph."""

    def __init__(self, model: ModelProto) -> None:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        self._shape: dict[str, tuple[int, ...]] = {}
        self._width: dict[str, int] = {}
        for tensor in inferred.graph.initializer:
            self._note(tensor.name, tuple(tensor.dims), tensor.data_type)
        for value in (*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info):
            kind = value.type.tensor_type
            self._note(value.name, tuple(axis.dim_value for axis in kind.shape.dim), kind.elem_type)

    def _note(self, name: str, shape: tuple[int, ...], element: int) -> None:
        self._shape[name] = shape
        self._width[name] = _BYTES.get(onnx.TensorProto.DataType.Name(element), 4)

    def elements(self, name: str) -> int:
        """Values in a tensor; 0 when its shape is not known."""
        return math.prod(self._shape[name]) if name in self._shape else 0

    def bytes(self, name: str) -> int:
        """Bytes of a tensor; 0 when its shape is not known."""
        return math.prod(self._shape[name]) * self._width[name] if name in self._shape else 0

    def macs(self, node: NodeProto) -> int:
        """Multiply-accumulates of a convolution or matrix product, else 0."""
        if node.op_type == "Conv":
            return math.prod(self._shape[node.output[0]]) * math.prod(self._shape[node.input[1]][1:])
        if node.op_type == "MatMul":
            return math.prod(self._shape[node.output[0]]) * self._shape[node.input[0]][-1]
        if node.op_type == "Gemm":
            transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
            return math.prod(self._shape[node.output[0]]) * self._shape[node.input[0]][0 if transposed else 1]
        return 0
