"""The deployed graph as ONNX: from a camera's frame to what a screen needs.

``frame`` uint8 (1, H, W, 3) RGB -> ``probability`` float32 (1, 1, H, W), ``mask`` uint8 (1, 1, H, W) and
``presence`` float32 (1,), how sure the network is that the frame shows a polyp at all.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from itertools import chain, count
from pathlib import Path

import numpy as np
import onnx
import onnxsim
import torch
from onnx import ModelProto, helper, numpy_helper
from torch import Tensor, nn

from microaunet.models.presence_head import of_map, predict

# What ONNX Runtime 1.23 (the last for Python 3.10, JetPack 6) loads; TensorRT 8.6 parses up to opset 17.
IR_VERSIONS = {17: 8, 19: 9}

INPUT = "frame"
PROBABILITY = "probability"
MASK = "mask"
PRESENCE = "presence"
OUTPUTS = (PROBABILITY, MASK, PRESENCE)


class Entrance(nn.Module):
    """The first half of the contract: a camera's frame as a network takes it, in 0..255."""

    def forward(self, frame: Tensor) -> Tensor:
        """Uint8 (1, H, W, 3) -> float32 (1, 3, H, W)."""
        # The cast comes first because TensorRT refuses to transpose uint8.
        return frame.float().permute(0, 3, 1, 2)


class Exit(nn.Module):
    """The second half of the contract: what a screen needs.

    Args:
        threshold: the probability above which a pixel of the mask is 1.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, logits: Tensor, presence: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (1, 1, H, W) and (1,) -> what :meth:`DeployGraph.forward` gives.

        Without logits of the presence, those of the map are taken.
        """
        found = of_map(logits) if presence is None else presence
        probability = torch.sigmoid(logits)
        # By way of float, as TensorRT documents casts to uint8 from floating point only.
        return probability, (probability > self.threshold).float().to(torch.uint8), torch.sigmoid(found)


class DeployGraph(nn.Module):
    """A deploy network with the contract of a bundle around it.

    Args:
        network: float32 (1, 3, H, W) in 0..255 -> logits (1, 1, H, W), from ``microaunet.models.fuse``.
        threshold: as for :class:`Exit`.
    """

    def __init__(self, network: nn.Module, threshold: float) -> None:
        super().__init__()
        self.network = network
        # No submodules of this one: they would name nodes, and ranges go by names.
        self.ends = (Entrance(), Exit(threshold))

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Uint8 (1, H, W, 3) -> probability float32 (1, 1, H, W), mask uint8 (1, 1, H, W), presence (1,)."""
        entrance, leave = self.ends
        found: tuple[Tensor, Tensor, Tensor] = leave(*predict(self.network, entrance(frame)))
        return found


def export_graph(network: nn.Module, height: int, width: int, threshold: float, opset: int) -> ModelProto:
    """The simplified ONNX graph of ``network`` behind the bundle's contract; same input, same bytes.

    Args:
        network: float32 (1, 3, H, W) in 0..255 -> logits (1, 1, H, W).
        opset: 17 or 19. Each is exported separately: converting between them changes more than the version.
    """
    frame = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    return finish(trace(DeployGraph(network, threshold), frame, (INPUT,), OUTPUTS, opset), opset)


def finish(model: ModelProto, opset: int) -> ModelProto:
    """``model`` simplified, with names that follow from its structure, and without traces of this machine."""
    simplified, _ = onnxsim.simplify(model)
    _constants_to_initializers(simplified)
    _name_by_node(simplified)
    return clean(simplified, opset)


def trace(
    module: nn.Module, example: Tensor, inputs: tuple[str, ...], outputs: tuple[str, ...], opset: int
) -> ModelProto:
    """``module`` in eval mode as ONNX, as the exporter writes it, with fixed shapes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        torch.inference_mode(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # it is deprecated, but the other exporter cannot write opset 17
        path = Path(folder, "traced.onnx")
        torch.onnx.export(
            module.eval(),
            (example,),
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=opset,
            dynamo=False,
        )
        model = onnx.load(path)
    check_versions(model, opset, newest_ir=max(IR_VERSIONS.values()))
    return model


def clean(model: ModelProto, opset: int) -> ModelProto:
    """Remove what changes from run to run or names the machine, pin the IR version, and check the graph."""
    model.ir_version = IR_VERSIONS[opset]
    model.producer_name, model.producer_version, model.doc_string = "microaunet", "", ""
    model.graph.name, model.graph.doc_string = "microaunet", ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for item in (*model.graph.node, *model.graph.initializer, *model.graph.input, *model.graph.output):
        item.doc_string = ""
        del item.metadata_props[:]
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", opset))
    onnx.checker.check_model(model, full_check=True)
    check_versions(model, opset, newest_ir=IR_VERSIONS[opset])
    return model


def _constants_to_initializers(model: ModelProto) -> None:
    """A constant is a weight, not a node: node counts then mean operators."""
    graph = model.graph
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        tensor = numpy_helper.from_array(numpy_helper.to_array(node.attribute[0].t), node.output[0])
        graph.initializer.append(tensor)
        graph.node.remove(node)


def _name_by_node(model: ModelProto) -> None:
    """Give nodes, tensors and weights names that follow from the module path only.

    The exporter numbers tensors differently from opset to opset; calibration needs one name in all of them.
    """
    graph = model.graph
    kept = {value.name for value in (*graph.input, *graph.output)}
    names: dict[str, str] = {}
    taken: set[str] = set()
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        name = node.name.removeprefix("/network").strip("/") or node.op_type
        node.name = next(n for n in chain([name], (f"{name}.{k}" for k in count(2))) if n not in taken)
        taken.add(node.name)
        for index, tensor in enumerate(node.input):
            if tensor in weights and tensor not in names:
                names[tensor] = f"{node.name}.input{index}"
        for index, tensor in enumerate(node.output):
            if tensor not in kept:
                names[tensor] = f"{node.name}.output{index}"
    for node in graph.node:
        node.input[:] = [names.get(tensor, tensor) for tensor in node.input]
        node.output[:] = [names.get(tensor, tensor) for tensor in node.output]
    used = [tensor for tensor in graph.initializer if tensor.name in names]
    for tensor in used:
        tensor.name = names[tensor.name]
    del graph.initializer[:]
    graph.initializer.extend(sorted(used, key=lambda tensor: tensor.name))


def check_versions(model: ModelProto, opset: int, newest_ir: int) -> None:
    """Raise RuntimeError unless the exporter wrote the requested opset and a loadable IR version."""
    found = {entry.domain: entry.version for entry in model.opset_import}
    if found.get("") != opset or set(found) - {""}:
        raise RuntimeError(f"the exporter wrote opset {found}, not {opset}: use the pinned torch and onnxsim")
    if model.ir_version > newest_ir:
        raise RuntimeError(f"the exporter wrote IR version {model.ir_version}, above {newest_ir}")


def structure_sha256(model: ModelProto) -> str:
    """SHA-256 of what a graph computes apart from its weights: operators, names, attributes and shapes.

    Calibration ranges are keyed by names of nodes, so they fit a graph only when this is unchanged.
    """
    digest = hashlib.sha256()
    for node in model.graph.node:
        attributes = sorted(
            attribute.SerializeToString(deterministic=True).hex() for attribute in node.attribute
        )
        row = [node.op_type, node.name, list(node.input), list(node.output), attributes]
        digest.update(json.dumps(row).encode())
    for value in (*model.graph.input, *model.graph.output):
        digest.update(value.SerializeToString(deterministic=True))
    return digest.hexdigest()


def save(model: ModelProto, path: Path) -> None:
    """Write ``model`` to ``path`` with a deterministic serialisation."""
    path.write_bytes(model.SerializeToString(deterministic=True))


class GraphRunner:
    """An ONNX graph with the bundle's contract, run in memory by ONNX Runtime on the CPU.

    Args:
        extra: names of further tensors to hand out, for calibration.
    """

    def __init__(self, model: ModelProto, threads: int = 1, extra: tuple[str, ...] = ()) -> None:
        import onnxruntime

        if extra:
            model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
            known = {value.name: value for value in model.graph.value_info}
            model.graph.output.extend(known[name] for name in extra)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors only
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by name for one frame, uint8 (H, W, 3)."""
        return dict(zip(self._names, self._session.run(None, {INPUT: frame[None]}), strict=True))
