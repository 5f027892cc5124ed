"""What NVIDIA DeepStream needs besides a bundle: a graph for its nvinfer element and its configuration.

nvinfer takes frames as float32 (1, 3, H, W) and cuts the mask itself, so the graph is the contract's without
its first cast and transpose and without mask and presence. The weights, and so the values, are the same.
"""

from __future__ import annotations

import configparser
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import ModelProto, helper
from onnx.utils import Extractor

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import GateError
from microaunet_runtime.files import write_bytes

from .graph import INPUT, PROBABILITY, GraphRunner, clean, save

FOLDER = "deepstream"
GRAPH = "segmentation.onnx"
CONFIGURATION = "nvinfer.txt"
LABELS = "labels.txt"
OPSET = 17


def planar(model: ModelProto) -> ModelProto:
    """The contract's graph from ``frame`` float32 (1, 3, H, W) in 0..255, RGB, to ``probability`` alone.

    Args:
        model: FP32, from :func:`~.graph.finish`.
    """
    entrance = next(node for node in model.graph.node if node.op_type == "Transpose").output[0]
    cut = Extractor(onnx.shape_inference.infer_shapes(model)).extract_model([entrance], [PROBABILITY])
    for node in cut.graph.node:
        node.input[:] = [INPUT if name == entrance else name for name in node.input]
    _, height, width, _ = (axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim)
    del cut.graph.input[:]
    shape = [1, 3, height, width]
    cut.graph.input.append(helper.make_tensor_value_info(INPUT, onnx.TensorProto.FLOAT, shape))
    return clean(cut, OPSET)


def configuration(height: int, width: int, threshold: float) -> str:
    """The text of nvinfer's configuration file; file names are relative to it.

    The scale to 0..1 is inside the graph, so frames are not scaled before it. With one class, nvinfer gives
    class 0 to pixels whose probability is above ``segmentation-threshold``, and -1 to all others.
    """
    parser = configparser.ConfigParser()
    parser["property"] = {
        "gie-unique-id": "1",
        "onnx-file": GRAPH,
        "labelfile-path": LABELS,
        "model-engine-file": f"{GRAPH}_b1_gpu0_fp16.engine",
        "batch-size": "1",
        "network-mode": "2",  # FP16
        "network-type": "2",  # segmentation
        "segmentation-output-order": "0",  # NCHW
        "segmentation-threshold": str(threshold),
        "num-detected-classes": "1",
        "output-blob-names": PROBABILITY,
        "infer-dims": f"3;{height};{width}",
        "network-input-order": "0",  # NCHW
        "model-color-format": "0",  # RGB
        "net-scale-factor": "1.0",
        "maintain-aspect-ratio": "0",  # stretched, as in training
        "scaling-filter": "1",  # bilinear
    }
    text = io.StringIO()
    parser.write(text, space_around_delimiters=False)
    return text.getvalue()


def write(bundle: Bundle, folder: Path) -> None:
    """Write graph, configuration and labels of ``bundle`` into ``folder``, after the graph was verified.

    Raises:
        GateError: the graph gives other values than the contract's on a golden frame.
    """
    manifest = bundle.manifest
    path, _ = bundle.artefact("fp32")
    contract = onnx.load(path)
    graph = planar(contract)
    difference = greatest_difference(contract, graph, bundle.golden().frames)
    if not difference == 0:
        raise GateError(
            f"the graph for DeepStream differs from {path.name} by {difference:.2g}, expected the same "
            "values: report this with the versions in the manifest"
        )
    folder.mkdir(exist_ok=True)
    save(graph, folder / GRAPH)
    text = configuration(manifest.height, manifest.width, manifest.threshold)
    write_bytes(folder / CONFIGURATION, text.encode())
    write_bytes(folder / LABELS, b"polyp\n")


def greatest_difference(contract: ModelProto, graph: ModelProto, frames: Iterable[np.ndarray]) -> float:
    """The greatest |difference| of a probability on ``frames``, uint8 (H, W, 3) each."""
    runner = GraphRunner(contract)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    greatest = 0.0
    for frame in frames:
        inputs = {INPUT: frame.transpose(2, 0, 1)[None].astype(np.float32)}
        (found,) = session.run([PROBABILITY], inputs)
        greatest = max(greatest, float(np.abs(found - runner(frame)[PROBABILITY]).max()))
    return greatest
