"""Graphs written by hand, a node per call, for tests of what is fused, rewritten and quantised."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper, shape_inference


class Drawing:
    """A graph that grows node by node. Every method returns the name of the tensor that it makes."""

    def __init__(self, channels: int = 8, size: int = 16, element: int = TensorProto.FLOAT) -> None:
        self.element = element
        self.dtype = helper.tensor_dtype_to_np_dtype(element)
        self.x = "x"
        self._inputs = [helper.make_tensor_value_info("x", element, [1, channels, size, size])]
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, np.ndarray] = {}
        self._channels = {"x": channels}

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: object) -> str:
        name = name or f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [f"{name}.out"], name, **attributes))
        self._channels[f"{name}.out"] = self._channels.get(inputs[0], 0)
        return f"{name}.out"

    def weight(self, name: str, values: object) -> str:
        """Values as they are, lists of floats as float32."""
        array = np.asarray(values)
        self._weights[name] = array.astype(np.float32) if array.dtype == np.float64 else array
        return name

    def conv(
        self,
        x: str,
        name: str,
        outputs: int | None = None,
        kernel: int = 1,
        depthwise: bool = False,
        int8: bool = False,
    ) -> str:
        """A convolution of the same size; with ``int8`` its weights pass through a pair."""
        inputs = self._channels[x]
        outputs = outputs or inputs
        rng = np.random.default_rng(len(self._nodes))
        values = rng.normal(size=(outputs, 1 if depthwise else inputs, kernel, kernel)).astype(self.dtype)
        weight = self.weight(f"{name}.w", values)
        if int8:
            scale = self.weight(f"{name}.s", np.full(outputs, 0.02, self.dtype))
            zero = self.weight(f"{name}.z", np.zeros(outputs, np.int8))
            weight = self.op("QuantizeLinear", weight, scale, zero, name=f"{name}.wq", axis=0)
            weight = self.op("DequantizeLinear", weight, scale, zero, name=f"{name}.wdq", axis=0)
        bias = self.weight(f"{name}.b", rng.normal(size=outputs).astype(self.dtype))
        pads = [kernel // 2] * 4
        out = self.op("Conv", x, weight, bias, name=name, pads=pads, group=inputs if depthwise else 1)
        self._channels[out] = outputs
        return out

    def pair(self, x: str, name: str) -> str:
        """``x`` quantised and dequantised again."""
        scale = self.weight(f"{name}.s", np.array(0.05, self.dtype))
        zero = self.weight(f"{name}.z", np.array(0, np.int8))
        quantised = self.op("QuantizeLinear", x, scale, zero, name=f"{name}.q")
        made = self.op("DequantizeLinear", quantised, scale, zero, name=f"{name}.dq")
        self._channels[made] = self._channels[x]
        return made

    def model(self, *outputs: str, opset: int = 17) -> ModelProto:
        """The checked graph; ``outputs`` leave it."""
        values = [helper.make_empty_tensor_value_info(name) for name in outputs]
        weights = [numpy_helper.from_array(value, name) for name, value in self._weights.items()]
        graph = helper.make_graph(self._nodes, "hand", self._inputs, values, weights)
        version = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=version, ir_version=8 if opset < 19 else 9)
        inferred = shape_inference.infer_shapes(model, strict_mode=True)
        known = {value.name: value for value in inferred.graph.output}
        for value in model.graph.output:
            value.CopyFrom(known[value.name])
        checker.check_model(model, full_check=True)
        return model
