"""How far an artefact is from the PyTorch reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..bundle.tolerance import Tolerance
from ..evaluation.metrics import mask_agreement
from ..inference.backend import check_output


@dataclass(frozen=True)
class Agreement:
    """Differences of probabilities from the reference, and the mean over frames of the masks' Dice."""

    max_abs_difference: float
    mean_abs_difference: float
    mask_agreement: float

    def shortfall(self, tolerance: Tolerance, *, gpu: bool) -> str:
        """Which limits of ``tolerance`` do not hold, in one sentence; empty when all hold."""
        return "; ".join(tolerance.shortfalls(self.mask_agreement, self.max_abs_difference, gpu=gpu))


def agreement_with(
    probability: np.ndarray, mask: np.ndarray, reference: np.ndarray, threshold: float
) -> Agreement:
    """Agreement of what an artefact gave with the reference.

    Args:
        probability, reference: float32 (N, 1, H, W).
        mask: uint8 (N, 1, H, W), what the graph thresholded.
        threshold: the manifest's, applied to the reference.

    Raises:
        MicroAUNetError: a value is NaN, or no probability or mask.
    """
    check_output(probability, mask)
    difference = np.abs(probability - reference)
    masks = zip(mask[:, 0] > 0, reference[:, 0] > threshold, strict=True)
    return Agreement(
        max_abs_difference=float(difference.max()),
        mean_abs_difference=float(difference.mean()),
        mask_agreement=float(np.mean([mask_agreement(found, expected) for found, expected in masks])),
    )
