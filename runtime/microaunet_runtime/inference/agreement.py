"""The agreement of a backend with the PyTorch reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..bundle import Golden
from ..bundle.tolerance import Tolerance
from ..evaluation.metrics import mask_agreement
from .backend import Backend, Outputs, check_outputs


@dataclass(frozen=True)
class Agreement:
    """Differences from the reference: of probabilities, the greatest of presence; the masks' mean Dice."""

    max_abs_difference: float
    mean_abs_difference: float
    mask_agreement: float
    presence_difference: float

    def shortfall(self, tolerance: Tolerance, *, gpu: bool) -> str:
        """The limits of ``tolerance`` that are exceeded, in one sentence; empty if all hold."""
        found = tolerance.shortfalls(
            self.mask_agreement, self.max_abs_difference, self.presence_difference, gpu=gpu
        )
        return "; ".join(found)


def agreement_with(
    found: Outputs, probability: np.ndarray, presence: np.ndarray, threshold: float
) -> Agreement:
    """Agreement of what an artefact gave for N frames with the reference.

    Args:
        found: with N in place of each leading 1.
        probability: the reference's, float32 (N, 1, H, W).
        presence: the reference's, float32 (N,).
        threshold: the manifest's, applied to the reference.

    Raises:
        MicroAUNetError: a value is NaN, or not a valid probability or mask.
    """
    check_outputs(found)
    difference = np.abs(found.probability - probability)
    masks = zip(found.mask[:, 0] > 0, probability[:, 0] > threshold, strict=True)
    return Agreement(
        max_abs_difference=float(difference.max()),
        mean_abs_difference=float(difference.mean()),
        mask_agreement=float(np.mean([mask_agreement(mask, expected) for mask, expected in masks])),
        presence_difference=float(np.abs(found.presence - presence).max()),
    )


def golden_agreement(backend: Backend, golden: Golden, threshold: float) -> Agreement:
    """Agreement of ``backend`` with the PyTorch reference on the golden frames.

    Args:
        threshold: the manifest's.
    """
    outputs = [backend.infer(frame[None]).copy() for frame in golden.frames]
    found = Outputs(*(np.concatenate(arrays) for arrays in zip(*outputs, strict=True)))
    return agreement_with(found, golden.probability, golden.presence, threshold)
