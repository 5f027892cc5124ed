"""INT8 as explicit Q/DQ pairs, by ONNX Runtime's quantiser, where :mod:`microaunet.quantisation.places` says.

Pairs anywhere else break the fusion of a convolution with what follows, or force one scale on tensors that
differ. Biases stay in float, because TensorRT's parser refuses INT32 dequantisers.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data

from microaunet.quantisation import places
from microaunet.quantisation.places import Operation, Places

from .graph import clean
from .rewrite import groups
from .shapes import Shapes

OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "AddQDQPairToWeight": True,
    "DedicatedQDQPair": False,
    "OpTypesToExcludeOutputQuantization": ["Conv"],
}


def convolutions(model: ModelProto) -> list[onnx.NodeProto]:
    """The convolutions of a graph, in order."""
    return [node for node in model.graph.node if node.op_type == "Conv"]


def find_places(model: ModelProto, in_float: Collection[str] = ()) -> Places:
    """What of ``model``, a graph of fixed shapes, is to be quantised; by names of nodes and tensors."""
    shapes = Shapes(model)
    weights = {tensor.name for tensor in model.graph.initializer} | {""}
    return places.find(
        [_operation(node, shapes, weights) for node in model.graph.node if node.op_type != "Constant"],
        {value.name for value in model.graph.output},
        in_float,
    )


_KINDS: dict[str, places.Kind] = {
    "Conv": "convolution",
    "Relu": "relu",
    "Clip": "relu",
    "Add": "sum",
    "Resize": "resize",
}


def _operation(node: onnx.NodeProto, shapes: Shapes, weights: set[str]) -> Operation:
    convolution = node.op_type == "Conv"
    return Operation(
        node.name,
        _KINDS.get(node.op_type, "other"),
        tuple(name for name in node.input if name not in weights),
        node.output[0],
        depthwise=convolution and groups(node) > 1 and shapes.of(node.input[1])[1] == 1,
        pixels=math.prod(shapes.of(node.output[0])[2:]) if convolution else 0,
    )


def quantize(
    model: ModelProto, opset: int, ranges: Mapping[str, tuple[float, float]], in_float: Collection[str] = ()
) -> ModelProto:
    """``model`` in INT8 where it pays. The scales have the type of the graph, float32 or float16.

    Args:
        model: from :func:`~.rewrite.for_gpu` or :func:`~.half.to_half`, so that no weight is shared.
        ranges: by convolution, the lowest and highest value that it reads.
        in_float: names of convolutions to leave alone.
    """
    found = find_places(model, in_float)
    chosen = [node for node in convolutions(model) if node.name in found.convolutions]
    if not chosen:
        return model
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    data = {}
    for node in chosen:
        dtype = np.float16 if types[node.input[1]] == TensorProto.FLOAT16 else np.float32
        low, high = ranges[node.name]
        data[node.input[0]] = TensorData(lowest=np.array(low, dtype), highest=np.array(high, dtype))

    marked = ModelProto()
    marked.CopyFrom(model)
    # Says that the graph is already simplified; without it the quantiser logs advice to simplify it.
    onnx.helper.set_model_props(marked, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with tempfile.TemporaryDirectory() as folder:
        cache, written = Path(folder, "ranges.json"), Path(folder, "int8.onnx")
        save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), cache)
        quantize_static(
            marked,
            written,
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=[node.name for node in chosen],
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options=OPTIONS,
            calibration_cache_path=cache,
        )
        quantized = onnx.load(written)
    _undo_elsewhere(quantized, found)
    return clean(quantized, opset)


def _undo_elsewhere(model: ModelProto, found: Places) -> None:
    """Let all but convolutions and shortcuts read the tensor itself: the quantiser redirects every reader."""
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    original = {
        node.output[0]: sources[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
    }
    for node in model.graph.node:
        if node.op_type not in ("Conv", "DequantizeLinear"):
            kept = found.shortcuts.get(node.name)
            tensors = [original.get(name, name) for name in node.input]
            node.input[:] = [
                name if tensor == kept else tensor for name, tensor in zip(node.input, tensors, strict=True)
            ]
