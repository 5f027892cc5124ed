"""The graph of each file of a bundle: FP32 as it is, the others rewritten for GPUs, in halves, in INT8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

import onnx
from onnx import ModelProto

from microaunet_runtime.console import progress
from microaunet_runtime.errors import InputError

from . import calibrate, sensitivity
from .equalise import equalise, exponents
from .graph import structure_sha256
from .half import to_half
from .quantize import find_places, quantize
from .range_file import SUFFIX, Ranges
from .range_file import load as load_ranges
from .rewrite import for_gpu
from .subject import Subject
from .trained import trained_ranges

Say = Callable[[str], None]


class Form(NamedTuple):
    """A graph and its opset."""

    model: ModelProto
    opset: int


def make(
    subject: Subject, int8: bool, images: calibrate.CalibrationSet | None, say: Say
) -> tuple[dict[str, Form], dict[str, Any] | None]:
    """The form of each precision, and what the manifest says of the calibration.

    Args:
        int8: make the INT8 forms, too.
        images: to calibrate on; None for the ranges beside the weights.

    Raises:
        InputError: the graph cannot be written in half precision, or the ranges do not belong to it.
    """
    graphs = {opset: subject.graph(opset) for opset in (17, 19)}
    gpu = {opset: for_gpu(graph, opset) for opset, graph in graphs.items()}
    try:
        forms = {"fp32": Form(graphs[17], 17), "fp16": Form(to_half(gpu[17], 17), 17)}
        if not int8:
            return forms, None
        ranges, facts = _ranges(subject, images, gpu[17], say)
        level = {opset: equalise(graph, ranges.equalisation) for opset, graph in gpu.items()}
        half = to_half(level[19], 19)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InputError(
            f"{subject.name} cannot be written in half precision ({str(error).strip().splitlines()[0]}): "
            "the operator that is named does not take halves; replace it in the network"
        ) from error
    forms["int8"] = Form(quantize(level[17], 17, ranges.convolutions, ranges.in_float), 17)
    forms["int8-fp16"] = Form(quantize(half, 19, ranges.convolutions, ranges.in_float), 19)
    return forms, facts


def measure_ranges(subject: Subject, images: calibrate.CalibrationSet, say: Say) -> Ranges:
    """Calibrate on ``images``: the ranges, the method and the convolutions in float, all by measurement."""
    return _measure(subject, images, for_gpu(subject.graph(17), 17), say)


def _measure(subject: Subject, images: calibrate.CalibrationSet, model: ModelProto, say: Say) -> Ranges:
    """As :func:`measure_ranges`, for ``model``, the FP32 graph at opset 17 for GPUs.

    Weights that were trained with INT8's rounding bring ranges of their own, which are tried, too, and name
    what stays in float; their channels are then not levelled, as the ranges hold for them as they are.
    """
    trained = trained_ranges(subject.int8, model)
    given = trained.in_float if trained else []
    with progress() as bar:
        tick = partial(bar.advance, bar.add_task("calibration frames", total=2 * len(images.paths)))
        frames = images.frames(subject.height, subject.width)
        steps = exponents(model, calibrate.channel_highs(model, frames))
        level = equalise(model, steps)
        candidates = calibrate.collect(level, frames, tick)
        count = len(find_places(level).convolutions)
        tick = partial(bar.advance, bar.add_task("INT8 choices", total=len(candidates) + count))
        choice = sensitivity.choose(level, frames, candidates, tick, given)
        if trained:
            other = sensitivity.choose(model, frames, {"trained": trained.ranges}, tick, given)
            methods = choice.methods | other.methods
            if other.agreement > choice.agreement:
                choice, steps = other, {}
            choice = replace(choice, methods=methods)
    say(
        f"calibration: {len(frames)} images, {choice.method} chosen, {len(choice.in_float)} of {count} "
        f"convolutions left in float, mask agreement on calibration frames {choice.agreement:.4f}"
    )
    return Ranges(
        weights_sha256=subject.sha256,
        graph_sha256=structure_sha256(model),
        method=choice.method,
        methods=choice.methods,
        images=len(frames),
        images_sha256=images.fingerprint(),
        equalisation=steps,
        convolutions=choice.ranges,
        in_float=choice.in_float,
        mask_agreement=choice.agreement,
    )


def _ranges(
    subject: Subject, images: calibrate.CalibrationSet | None, model: ModelProto, say: Say
) -> tuple[Ranges, dict[str, Any]]:
    """The ranges to quantise with, and what the manifest says of them."""
    if images:
        ranges = _measure(subject, images, model, say)
        source = "images, the committed Kvasir-SEG list" if images.listed else "images"
    else:
        path = subject.path.with_suffix(SUFFIX)
        if not path.is_file():
            raise InputError(f"there is no {path.name} beside the weights: give --calib DIR")
        ranges = load_ranges(path)
        ranges.check(subject.sha256, model, path.name)
        source = f"ranges shipped with the weights ({path.name})"
        say(f"calibration: {source}, {ranges.method} over {ranges.images} images")
    facts = asdict(ranges)
    facts["equalised"] = len(ranges.equalisation)
    del facts["convolutions"], facts["equalisation"], facts["schema"]
    return ranges, {"source": source, **facts}
