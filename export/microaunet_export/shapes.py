"""Shapes and sizes of all tensors of a graph, and the multiply-accumulates of its operators."""

from __future__ import annotations

import math

import onnx
from onnx import ModelProto, NodeProto

_BYTES = {"FLOAT": 4, "FLOAT16": 2, "UINT8": 1, "INT8": 1, "BOOL": 1, "INT32": 4, "INT64": 8}


class Shapes:
    """What is known about the tensors of ``model``, a graph of fixed shapes."""

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

    def of(self, name: str) -> tuple[int, ...]:
        """The shape of a tensor; () when it is not known."""
        return self._shape.get(name, ())

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
