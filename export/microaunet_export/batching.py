"""The bundle's graphs for several frames at once, as servers run them, and how little their values change."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime
from onnx import ModelProto

from microaunet_runtime.bundle.manifest import MOST_BATCH, Artefact, BatchFiles
from microaunet_runtime.errors import InputError
from microaunet_runtime.files import sha256

from .forms import Form
from .graph import INPUT, OUTPUTS, clean, save

BatchSize = int | Literal["dynamic"]

REMEDY = "leave out --batch and --triton, or take the batch size out of the network's reshapes"

DYNAMIC_SIZES = (1, 3)
"""Besides all frames at once, the batches that a graph with an open number of frames is verified with."""

TOLERANCES = {"fp32": 1e-5, "fp16": 1e-2, "int8": 1e-2, "int8-fp16": 1e-2}
"""By precision, how much a batch may change a probability: it is summed in another order than single frames.

In FP32 it shows whether the network mixes the frames of a batch. Coarser numbers are rounded after the sum,
and differ by a whole step where they differ.
"""


def parse(text: str) -> BatchSize:
    """The value of ``--batch``: a number of frames, or ``dynamic``.

    Raises:
        InputError: it is neither, or the number is out of range.
    """
    if text == "dynamic":
        return "dynamic"
    if not (text.isdecimal() and 2 <= int(text) <= MOST_BATCH):
        raise InputError(
            f"--batch {text}: expected dynamic, or a number from 2 to {MOST_BATCH}; a bundle always takes one"
        )
    return int(text)


def batched(model: ModelProto, size: BatchSize = "dynamic") -> ModelProto:
    """The contract's graph for ``size`` frames instead of one: the first axis of each input and output.

    Args:
        model: one of a bundle's files.
    """
    several = ModelProto()
    several.CopyFrom(model)
    for value in (*several.graph.input, *several.graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        if size == "dynamic":
            axis.dim_param = "N"
        else:
            axis.dim_value = size
    (opset,) = (entry.version for entry in several.opset_import if not entry.domain)
    try:
        return clean(several, opset)
    except Exception as error:  # of onnx's checker or its shape inference
        raise _refused(error) from error


def difference(
    one: ModelProto, several: ModelProto, frames: np.ndarray, size: BatchSize = "dynamic"
) -> float:
    """The greatest |difference| of probability and presence between batches and their frames one by one.

    Args:
        frames: uint8 (N, H, W, 3); they are repeated to fill batches.
        size: what ``several`` was made for.

    Raises:
        InputError: the graph does not take a batch.
    """
    single, batch = (
        onnxruntime.InferenceSession(model.SerializeToString(), _quiet(), providers=["CPUExecutionProvider"])
        for model in (one, several)
    )
    names = [name for name in OUTPUTS if name != "mask"]
    apart = [single.run(names, {INPUT: frame[None]}) for frame in frames]
    differences = []
    for chosen in _batches(len(frames), size):
        try:
            together = batch.run(names, {INPUT: frames[chosen]})
        except Exception as error:  # ONNX Runtime's own exception types share no base but Exception
            raise _refused(error) from error
        if any(len(found) != len(chosen) for found in together):
            raise InputError(f"the network gives fewer results than it gets frames: {REMEDY}")
        for index, found in enumerate(together):
            expected = np.concatenate([apart[number][index] for number in chosen])
            differences.append(np.abs(found - expected).max())
    return float(np.max(differences))  # NaN where one is


def write(folder: Path, forms: dict[str, Form], frames: np.ndarray, size: BatchSize) -> BatchFiles:
    """Write each file of a bundle for ``size`` frames at once, and measure what it changes on ``frames``.

    Raises:
        InputError: the network does not take a batch.
    """
    artefacts, differences = {}, {}
    for name, (model, opset) in forms.items():
        several = batched(model, size)
        differences[name] = difference(model, several, frames, size)
        path = folder / f"{name}-batch-{size}.onnx"
        save(several, path)
        nodes = len(several.graph.node)
        artefacts[name] = Artefact(path.name, sha256(path), path.stat().st_size, name, opset, nodes)
    return BatchFiles(size, artefacts, differences, {name: TOLERANCES[name] for name in forms})


def described(batch: BatchFiles) -> list[str]:
    """What was written, a sentence for each file."""
    return [
        f"{entry.file}: frame by frame {batch.differences[name]:.1e} from {name}.onnx, "
        f"at most {batch.tolerances[name]:g} allowed"
        for name, entry in batch.artefacts.items()
    ]


def failures(batch: BatchFiles) -> list[str]:
    """The files whose batches differ too much from their frames one by one, a sentence each."""
    return [
        f"{batch.artefacts[name].file}: a batch differs from its frames one by one by {found:.2g}, more than "
        f"{batch.tolerances[name]:g}: something in the network mixes the frames of a batch"
        for name, found in batch.differences.items()
        if not found <= batch.tolerances[name]
    ]


def _batches(count: int, size: BatchSize) -> list[list[int]]:
    """The numbers of the frames of each batch; every frame is in one."""
    if size == "dynamic":
        return [list(islice(cycle(range(count)), each)) for each in (*DYNAMIC_SIZES, count)]
    numbers = cycle(range(count))
    return [list(islice(numbers, size)) for _ in range(-(-count // size))]


def _refused(error: Exception) -> InputError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return InputError(f"the network cannot take several frames at once ({lines[0][:200]}): {REMEDY}")


def _quiet() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return options
