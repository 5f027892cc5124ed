"""INT8 as explicit Q/DQ pairs around convolutions, by ONNX Runtime's quantiser.

Only the inputs and the weights of convolutions are quantised: pairs anywhere else break the fusion of a
convolution with its activation, or force one scale on tensors that differ. Biases stay in float, because
TensorRT's parser refuses INT32 dequantisers.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data

from .graph import clean

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


def quantize(
    model: ModelProto, opset: int, ranges: Mapping[str, tuple[float, float]], in_float: Collection[str] = ()
) -> ModelProto:
    """``model`` with its convolutions in INT8. The scales have the type of the graph, float32 or float16.

    Args:
        model: from :func:`~.graph.export_graph` or :func:`~.half.to_half`.
        ranges: by convolution, the lowest and highest value that it reads.
        in_float: names of convolutions to leave alone.
    """
    chosen = [node for node in convolutions(model) if node.name not in in_float]
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
    _undo_for_others(quantized)
    return clean(quantized, opset)


def _undo_for_others(model: ModelProto) -> None:
    """Make everything but convolutions read the tensor itself.

    The quantiser redirects all readers of a tensor; a shortcut to a sum would be rounded for no gain.
    """
    sources = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    original = {
        node.output[0]: sources[node.input[0]]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
    }
    for node in model.graph.node:
        if node.op_type not in ("Conv", "DequantizeLinear"):
            node.input[:] = [original.get(name, name) for name in node.input]
