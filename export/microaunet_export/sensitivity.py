"""The choice of calibration method and of convolutions that stay in float, measured on calibration frames."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto

from microaunet_runtime.evaluation.metrics import mask_agreement

from .calibrate import Pair
from .coverage import quantised
from .graph import MASK, PROBABILITY, GraphRunner
from .launches import expected
from .quantize import find_places, quantize

# Enough to rank layers by; spread over the calibration frames.
FRAMES = 32

# Above the gate of the export (0.97) and the goal of the shipped weights (0.98), with room for other frames.
WANTED_AGREEMENT = 0.99

# With more launches above FP16, or less of the MACs, INT8 is not worth its name: the gate decides instead.
EXTRA_LAUNCHES = 4
LEAST_MACS_PERCENT = 90

OPSET = 17


@dataclass(frozen=True)
class Damage:
    """How far an INT8 graph is from FP32: mean |difference| of probability, and mean mask agreement."""

    mean_difference: float
    agreement: float


@dataclass(frozen=True)
class Choice:
    """The measurements, and the choice.

    Attributes:
        method: the calibration method, the one of ``methods`` with the smallest mean |difference|.
        ranges: by convolution.
        in_float: by convolution left in float, the mean |difference| that remains when it is, beside those
            that are in any case.
        agreement: mask agreement of the result with FP32 on the frames used here.
    """

    method: str
    methods: dict[str, float]
    ranges: dict[str, Pair]
    in_float: dict[str, float]
    agreement: float


class Int8Damage:
    """Measures INT8 versions of one FP32 graph on fixed frames, uint8 (H, W, 3) each."""

    def __init__(self, model: ModelProto, frames: Sequence[np.ndarray]) -> None:
        self.model = model
        spread = np.linspace(0, len(frames) - 1, min(FRAMES, len(frames)))
        self._frames = [frames[round(k)] for k in spread]
        runner = GraphRunner(model)
        self._reference = [runner(frame) for frame in self._frames]

    def __call__(self, ranges: Mapping[str, Pair], in_float: Collection[str]) -> Damage:
        """The damage of INT8 with ``ranges``, the convolutions ``in_float`` left alone."""
        runner = GraphRunner(quantize(self.model, OPSET, ranges, in_float))
        differences, agreements = [], []
        for frame, reference in zip(self._frames, self._reference, strict=True):
            found = runner(frame)
            differences.append(float(np.abs(found[PROBABILITY] - reference[PROBABILITY]).mean()))
            agreements.append(mask_agreement(found[MASK], reference[MASK]))
        return Damage(float(np.mean(differences)), float(np.mean(agreements)))


def choose(
    model: ModelProto,
    frames: Sequence[np.ndarray],
    candidates: Mapping[str, Mapping[str, Pair]],
    tick: Callable[[], None],
    given: Collection[str] = (),
) -> Choice:
    """The best method; while the masks agree too little, the most damaging convolution is left in float.

    It stays in INT8 all the same where INT8 would not pay any more (:func:`pays`).

    Args:
        model: the FP32 graph at opset 17, from :func:`~.rewrite.for_gpu`.
        candidates: by method, the ranges by convolution.
        tick: called after each measurement; there are at least ``len(candidates)``.
        given: convolutions that are left in float in any case.
    """
    damage_of = Int8Damage(model, frames)

    def measure(ranges: Mapping[str, Pair], in_float: Collection[str]) -> Damage:
        damage = damage_of(ranges, in_float)
        tick()
        return damage

    methods = {method: measure(ranges, given) for method, ranges in candidates.items()}
    method = min(methods, key=lambda name: methods[name].mean_difference)
    ranges = dict(candidates[method])
    agreement = methods[method].agreement

    in_float = dict.fromkeys(given, methods[method].mean_difference)
    if agreement < WANTED_AGREEMENT:
        remaining = {
            name: measure(ranges, {*given, name}).mean_difference
            for name in find_places(model, given).convolutions
        }
        for name in sorted(remaining, key=remaining.__getitem__):
            if not pays(model, ranges, {*in_float, name}):
                continue
            in_float[name] = remaining[name]
            agreement = measure(ranges, in_float).agreement
            if agreement >= WANTED_AGREEMENT:
                break
    differences = {name: damage.mean_difference for name, damage in methods.items()}
    return Choice(method, differences, ranges, in_float, agreement)


def pays(model: ModelProto, ranges: Mapping[str, Pair], in_float: Collection[str]) -> bool:
    """Whether INT8 with convolutions ``in_float`` can still be faster than FP16."""
    int8 = quantize(model, OPSET, ranges, in_float)
    if quantised(int8).macs_percent < LEAST_MACS_PERCENT:
        return False
    return len(expected(int8).kernels) <= len(expected(model).kernels) + EXTRA_LAUNCHES
