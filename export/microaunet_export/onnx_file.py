"""An ONNX file from elsewhere: read, checked, and put behind the contract of a bundle.

It takes float32 (N, 3, H, W) and gives logits (N, 1, H, W), or their sigmoid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxsim
import torch
from onnx import (
    ModelProto,
    TensorProto,
    compose,
    external_data_helper,
    helper,
    inliner,
    numpy_helper,
    version_converter,
)

from microaunet.models.presence_head import of_map
from microaunet_runtime.errors import InputError

from .graph import INPUT, IR_VERSIONS, OUTPUTS, Entrance, Exit, clean, finish, trace
from .normalise import Normalisation, Normalised, fold

# Control flow and chance make no fixed sequence of kernels; calibration starts from a graph in float.
REFUSED = frozenset(
    {
        *("If", "Loop", "Scan", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
        *("Bernoulli", "Multinomial", "QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"),
    }
)

# Bound their output as a sigmoid does, but no logits can be had by leaving them out.
BOUNDED = frozenset({"Softmax", "HardSigmoid", "Clip", "Tanh"})


@dataclass(frozen=True)
class OnnxFile:
    """A file that was read and found usable.

    Attributes:
        original: as it is, for a frame (1, 3, height, width); the last output is the logits.
        core: the same to its logits, without a last Sigmoid.
        sigmoid: whether the original ends in one.
    """

    path: Path
    original: ModelProto
    core: ModelProto
    sigmoid: bool
    height: int
    width: int

    @property
    def parameters(self) -> int:
        """Values in the float weights."""
        floats = [tensor for tensor in self.core.graph.initializer if tensor.data_type == TensorProto.FLOAT]
        return sum(math.prod(tensor.dims) for tensor in floats)

    def deployed(self, normalisation: Normalisation, threshold: float, opset: int) -> ModelProto:
        """The graph with the bundle's contract around it, as :func:`~.graph.export_graph` makes it.

        Raises:
            InputError: the file's operators cannot be written in this opset.
        """
        try:
            core = version_converter.convert_version(self.core, opset)
            onnx.checker.check_model(core)
        except Exception as error:  # what the converter raises has no common base
            raise InputError(
                f"{self.path} is of opset {_opset(self.core)} and cannot be written in opset {opset} "
                f"({_first_line(error)}): export it with opset 17"
            ) from error
        frame = torch.zeros(1, self.height, self.width, 3, dtype=torch.uint8)
        first = torch.nn.Sequential(Entrance(), Normalised(torch.nn.Identity(), normalisation))
        entrance = trace(first, frame, (INPUT,), ("normalised",), opset)
        logits = torch.zeros(1, 1, self.height, self.width)
        last = trace(Exit(threshold), logits, ("logits",), OUTPUTS, opset)
        for part in (entrance, core, last):
            part.ir_version = IR_VERSIONS[opset]
        compose.add_prefix(core, "/network/", inplace=True)
        for part, prefix in ((entrance, "entrance/"), (last, "exit/")):
            compose.add_prefix(part, prefix, rename_inputs=False, rename_outputs=False, inplace=True)
        joined = compose.merge_models(entrance, core, [("normalised", core.graph.input[0].name)])
        joined = compose.merge_models(joined, last, [(core.graph.output[0].name, "logits")])
        graph = finish(joined, opset)
        fold(graph)
        return clean(graph, opset)


class OnnxReference:
    """The file itself, run by ONNX Runtime: what the graphs that are made from it are compared with."""

    def __init__(self, file: OnnxFile, normalisation: Normalisation) -> None:
        self._session = _session(file.original, file.path)
        self._sigmoid = file.sigmoid
        self._normalise = normalisation
        self._input = self._session.get_inputs()[0].name

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """Probability, float32 (H, W), and presence of one frame, uint8 (H, W, 3) RGB."""
        results = self._session.run(None, {self._input: self._normalise(frame)})
        logits = torch.from_numpy(results[-1])
        probability: np.ndarray = results[0] if self._sigmoid else logits.sigmoid().numpy()
        return probability[0, 0], float(of_map(logits).sigmoid())


def load(path: Path, size: tuple[int, int] | None = None) -> OnnxFile:
    """An ONNX file, checked so that a bundle can be made of it.

    Args:
        size: height and width, for a file that leaves them open.

    Raises:
        InputError: no such file, damaged, its weights lie outside it, it takes or gives something else, or it
            holds operators that cannot be exported; the message names which.
    """
    model = _read(path)
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise InputError(
            f"{path} has the inputs {_names(inputs)} and the outputs {_names(graph.output)}, expected one of "
            "each: cut it to the frame and the logits (onnx.utils.extract_model)"
        )
    height, width = _fix_shape(path, inputs[0], size)
    del graph.value_info[:]
    makers = {name: node for node in graph.node for name in node.output}
    last = makers.get(graph.output[0].name)
    if last is None or last.op_type in BOUNDED:
        end = "nothing that it computes" if last is None else last.op_type
        raise InputError(f"{path} ends in {end}, expected logits, or a Sigmoid of them: export it so")
    for axis in graph.output[0].type.tensor_type.shape.dim:
        axis.Clear()
    _check_output(path, model, inputs[0].name, height, width)

    core = ModelProto()
    core.CopyFrom(model)
    sigmoid = last.op_type == "Sigmoid"
    if sigmoid:
        core.graph.node.remove(last)
    logits = last.input[0] if sigmoid else graph.output[0].name
    if sigmoid:
        model.graph.output.append(
            helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, 1, height, width])
        )
    del core.graph.output[:]
    core.graph.output.append(helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, 1, height, width]))
    # What asked for the size, and padding by nothing, go before opsets can differ in them.
    core, _ = onnxsim.simplify(core)
    return OnnxFile(path, model, core, sigmoid, height, width)


def _read(path: Path) -> ModelProto:
    """The file as a checked, self-contained graph of standard operators."""
    if not path.is_file():
        raise InputError(f"--onnx {path} is not a file: give an ONNX file")
    try:
        model = onnx.load(path, load_external_data=False)
        outside = any(map(external_data_helper.uses_external_data, model.graph.initializer))
        if not outside:
            onnx.checker.check_model(model)
            model = inliner.inline_local_functions(model)
    except Exception as error:  # protobuf's and the checker's errors share no base
        raise InputError(
            f"{path} is not a complete ONNX file ({_first_line(error)}): export it again"
        ) from error
    if outside:
        raise InputError(
            f"{path} keeps its weights in another file: make one file of both with "
            "onnx.save(onnx.load(FILE), WHOLE)"
        )
    if others := sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"}):
        raise InputError(f"{path} uses operators of {others[0]}: export it with standard ONNX operators only")
    if refused := sorted({node.op_type for node in model.graph.node} & REFUSED):
        raise InputError(
            f"{path} holds {', '.join(refused)}, which this export does not handle: export the network in "
            "float, in evaluation mode, without control flow"
        )
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and not np.isfinite(numpy_helper.to_array(tensor)).all():
            raise InputError(f"{path} holds NaN or infinity in {tensor.name}: export valid weights")
    return model


def _fix_shape(path: Path, value: Any, size: tuple[int, int] | None) -> tuple[int, int]:
    """Write (1, 3, height, width) as the shape of the input and return the size."""
    kind = value.type.tensor_type
    axes = [axis.dim_value for axis in kind.shape.dim]  # 0 where the file leaves it open
    shown = [axis.dim_value or axis.dim_param or "?" for axis in kind.shape.dim]
    what = f"{path} takes {TensorProto.DataType.Name(kind.elem_type).lower()} {shown} as {value.name!r}"
    if kind.elem_type != TensorProto.FLOAT or len(axes) != 4 or axes[0] > 1 or axes[1] not in (0, 3):
        raise InputError(f"{what}, expected float [1, 3, H, W], N left open or 1: export it so")
    if size is None and not all(axes[2:]):
        raise InputError(f"{what}, which leaves the size open: choose one with --size")
    wanted = size or (axes[2], axes[3])
    if any(fixed not in (0, number) for fixed, number in zip(axes[2:], wanted, strict=True)):
        raise InputError(
            f"{what}, --size asks for {wanted[0]} x {wanted[1]}: leave it out, or export it again"
        )
    for axis, number in zip(kind.shape.dim, (1, 3, *wanted), strict=True):
        axis.dim_value = number
    return wanted


def _check_output(path: Path, model: ModelProto, name: str, height: int, width: int) -> None:
    """Check the file's output for one frame."""
    session = _session(model, path)
    try:
        (result,) = session.run(None, {name: np.zeros((1, 3, height, width), np.float32)})
    except Exception as error:  # ONNX Runtime's own exception types share no base but Exception
        raise InputError(
            f"{path} does not run on a frame (1, 3, {height}, {width}) ({_first_line(error)}): give another "
            "--size, or export it again"
        ) from error
    if result.dtype != np.float32 or result.shape != (1, 1, height, width):
        raise InputError(
            f"{path} gives {result.dtype} {result.shape} as {model.graph.output[0].name!r} for a frame "
            f"(1, 3, {height}, {width}), expected float32 {(1, 1, height, width)}: one class, at the size of "
            "the frame"
        )


def _session(model: ModelProto, path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # as above
        raise InputError(
            f"ONNX Runtime cannot load {path} ({_first_line(error)}): export it again, with opset 17"
        ) from error


def _opset(model: ModelProto) -> int:
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def _names(values: Any) -> str:
    return ", ".join(value.name for value in values) or "none"


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
