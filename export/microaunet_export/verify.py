"""Verification: each ONNX file of a bundle, run by ONNX Runtime, against the PyTorch reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.tolerance import Tolerance
from microaunet_runtime.evaluation.dataset import Pair, load_pair
from microaunet_runtime.evaluation.metrics import interval, mask_agreement, polyps_found, size_bin
from microaunet_runtime.evaluation.operating_point import SeenFrame, presence_summary
from microaunet_runtime.images.resize import resize_frame, resize_probability
from microaunet_runtime.inference.agreement import agreement_with
from microaunet_runtime.inference.session import Session, open_session
from microaunet_runtime.verification.inference_time import inference_ms

from .golden_frames import GoldenFrames
from .reference import Expected

TIMED_FRAMES = 100
WARM_UP_FRAMES = 10

FP32_AGREEMENT = 0.999
GPU_FACTOR = 10  # a GPU adds up in another order than the CPU, and its exponentials are faster and coarser


@dataclass(frozen=True)
class Gates:
    """The tolerances of an export that the command's options can change."""

    fp32_max_difference: float = 1e-4
    fp16_agreement: float = 0.995
    fp16_presence_difference: float = 0.02
    int8_agreement: float = 0.97
    int8_dice_change: float = 0.01
    int8_presence_difference: float = 0.2

    def tolerances(self, precisions: Iterable[str]) -> dict[str, Tolerance]:
        """The table that goes into the manifest, which everything reads."""
        int8 = Tolerance(
            self.int8_agreement, self.int8_presence_difference, dice_image_change=self.int8_dice_change
        )
        table = {
            "fp32": Tolerance(
                FP32_AGREEMENT,
                GPU_FACTOR * self.fp32_max_difference,
                max_abs_difference=self.fp32_max_difference,
                max_abs_difference_gpu=GPU_FACTOR * self.fp32_max_difference,
            ),
            "fp16": Tolerance(self.fp16_agreement, self.fp16_presence_difference),
            "int8": int8,
            "int8-fp16": int8,
        }
        return {name: table[name] for name in precisions}


def failures(tolerance: Tolerance, figures: dict[str, Any]) -> list[str]:
    """The limits that are exceeded on one set of frames, one phrase each; empty if there are none.

    Args:
        figures: of one precision, from :func:`agreement`.
    """
    change = figures.get("dice_image_change")
    return tolerance.shortfalls(
        figures["mask_agreement"]["mean"],
        figures["max_abs_difference"],
        figures["presence_difference"],
        change["mean"] if change else None,
    )


@dataclass(frozen=True)
class Sample:
    """One frame to compare on.

    Attributes:
        frame: uint8 (H, W, 3) at the graph's size.
        truth: the mask at its native size, uint8 (h, w), when a change of Dice is to be measured.
    """

    name: str
    frame: np.ndarray
    truth: np.ndarray | None = None


def golden_samples(golden: GoldenFrames) -> list[Sample]:
    """The golden frames, named by seed."""
    return [Sample(f"seed {seed}", frame) for seed, frame in zip(golden.seeds, golden.frames, strict=True)]


def real_samples(pairs: Sequence[Pair], height: int, width: int) -> Iterator[Sample]:
    """A data set at the graph's size, one image after the other.

    Raises:
        InputError: an image or mask cannot be used.
    """
    for pair in pairs:
        image, truth = load_pair(pair)
        yield Sample(pair.stem, resize_frame(image, height, width), truth)


@dataclass(frozen=True)
class _Row:
    """One frame through one artefact."""

    name: str
    max_abs_difference: float
    mean_abs_difference: float
    agreement: float
    presence_difference: float
    seen: tuple[SeenFrame, SeenFrame] | None  # by the artefact and by the reference, with ground truth


def agreement(
    bundle: Bundle,
    reference: Expected,
    samples: Iterable[Sample],
    threads: int,
    tick: Callable[[], None],
) -> dict[str, dict[str, Any]]:
    """The agreement of every file of the bundle with the reference on ``samples``.

    Returns:
        By precision: ``frames``, ``max_abs_difference``, ``mean_abs_difference``, ``presence_difference``
        (the greatest), ``mask_agreement`` {mean, worst, worst_frame}; with ground truth also
        ``dice_image`` and ``dice_image_reference`` {mean, low, high}, ``dice_image_change`` {mean, low,
        high, worst, worst_frame}, and ``presence`` and ``presence_reference``, the figures at the operating
        point (:func:`~microaunet_runtime.evaluation.operating_point.presence_summary`); the reference's
        without a curve.
    """
    threshold = bundle.manifest.threshold
    sessions = {
        precision: open_session(bundle, backend="onnxruntime", precision=precision, threads=threads)
        for precision in bundle.manifest.artefacts
    }
    rows: dict[str, list[_Row]] = {precision: [] for precision in sessions}
    try:
        for sample in samples:
            expected, presence = reference(sample.frame)
            for precision, session in sessions.items():
                rows[precision].append(_compare(session, sample, expected, presence, threshold))
            tick()
    finally:
        for session in sessions.values():
            session.close()
    return {precision: _summarise(found, bundle.manifest.presence) for precision, found in rows.items()}


def _compare(
    session: Session, sample: Sample, expected: np.ndarray, presence: float, threshold: float
) -> _Row:
    outputs = session.backend.infer(sample.frame[None])
    found = agreement_with(outputs, expected[None, None], np.array([presence], np.float32), threshold)
    seen = None
    if sample.truth is not None:
        seen = (
            _seen(outputs.probability[0, 0], float(outputs.presence[0]), sample.truth, threshold),
            _seen(expected, presence, sample.truth, threshold),
        )
    return _Row(
        sample.name,
        found.max_abs_difference,
        found.mean_abs_difference,
        found.mask_agreement,
        found.presence_difference,
        seen,
    )


def _seen(probability: np.ndarray, presence: float, truth: np.ndarray, threshold: float) -> SeenFrame:
    mask = (resize_probability(probability, *truth.shape) > threshold).view(np.uint8)
    return SeenFrame(
        presence,
        area=float(mask.mean()),
        size=size_bin(truth),
        found=polyps_found(mask, truth)[0] > 0,
        dice=mask_agreement(mask, truth),
    )


def _summarise(rows: Sequence[_Row], operating_point: float) -> dict[str, Any]:
    worst = min(rows, key=lambda row: row.agreement)
    figures: dict[str, Any] = {
        "frames": len(rows),
        "max_abs_difference": max(row.max_abs_difference for row in rows),
        "mean_abs_difference": float(np.mean([row.mean_abs_difference for row in rows])),
        "presence_difference": max(row.presence_difference for row in rows),
        "mask_agreement": {
            "mean": float(np.mean([row.agreement for row in rows])),
            "worst": worst.agreement,
            "worst_frame": worst.name,
        },
    }
    seen = [(row.name, *row.seen) for row in rows if row.seen]
    if seen:
        changes = [(found.dice - expected.dice, name) for name, found, expected in seen]
        change, name = max(changes, key=lambda entry: abs(entry[0]))
        figures["dice_image"] = interval([found.dice for _, found, _ in seen])
        figures["dice_image_reference"] = interval([expected.dice for *_, expected in seen])
        figures["dice_image_change"] = {
            **interval([change for change, _ in changes]),
            "worst": change,
            "worst_frame": name,
        }
        figures["presence"] = presence_summary([found for _, found, _ in seen], operating_point)
        reference = presence_summary([expected for *_, expected in seen], operating_point)
        figures["presence_reference"] = {key: reference[key] for key in reference if key != "curve"}
    return figures


def times_ms(bundle: Bundle, precision: str, frames: np.ndarray, threads: int) -> list[float]:
    """Milliseconds of :data:`TIMED_FRAMES` inferences on ONNX Runtime's CPU provider.

    Args:
        frames: uint8 (N, H, W, 3), run in turn after a warm-up.
    """
    with open_session(bundle, backend="onnxruntime", precision=precision, threads=threads) as session:
        return inference_ms(session.backend, frames, TIMED_FRAMES, WARM_UP_FRAMES)
