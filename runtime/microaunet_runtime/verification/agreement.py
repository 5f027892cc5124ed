"""How far an artefact may be from the PyTorch reference, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..evaluation.metrics import mask_agreement


@dataclass(frozen=True)
class Tolerance:
    """Least mean mask agreement with the reference, and for FP32 the greatest difference of a probability."""

    mask_agreement: float
    max_abs_difference: float | None = None


# The gates of an export, applied to what runs on the device. The bound for FP32 is ten times the export's: a
# GPU adds up in another order and uses faster exponentials than the CPU.
TOLERANCES = {
    "fp32": Tolerance(0.999, 1e-3),
    "fp16": Tolerance(0.995),
    "int8": Tolerance(0.97),
    "int8-fp16": Tolerance(0.97),
}


@dataclass(frozen=True)
class Agreement:
    """Differences of probabilities from the reference, and the mean over frames of the masks' Dice."""

    max_abs_difference: float
    mean_abs_difference: float
    mask_agreement: float

    def shortfall(self, precision: str) -> str:
        """Which tolerance of ``precision`` does not hold, in one sentence; empty when all hold."""
        tolerance = TOLERANCES[precision]
        # "not >=" so that a NaN fails.
        if not self.mask_agreement >= tolerance.mask_agreement:
            return f"mask agreement {self.mask_agreement:.4f} is below {tolerance.mask_agreement}"
        limit = tolerance.max_abs_difference
        if limit is not None and not self.max_abs_difference <= limit:
            return f"a probability differs by {self.max_abs_difference:.2g}, more than {limit:.0e}"
        return ""


def compare(probability: np.ndarray, mask: np.ndarray, reference: np.ndarray, threshold: float) -> Agreement:
    """Agreement of what an artefact gave with the reference.

    Args:
        probability, reference: float32 (N, 1, H, W).
        mask: uint8 (N, 1, H, W), what the graph thresholded.
        threshold: the manifest's, applied to the reference.
    """
    difference = np.abs(probability - reference)
    masks = zip(mask[:, 0] > 0, reference[:, 0] > threshold, strict=True)
    return Agreement(
        max_abs_difference=float(difference.max()),
        mean_abs_difference=float(difference.mean()),
        mask_agreement=float(np.mean([mask_agreement(found, expected) for found, expected in masks])),
    )
