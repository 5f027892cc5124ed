"""A student and its loss as one module: what every process wraps, steps and sees the same way."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .losses import boundary_weight, soft_dice, weighted_bce
from .recipe import LossWeights


class Supervised(nn.Module):
    """The student learns from masks alone.

    Args:
        student: float32 (N, 3, H, W) in 0..1 to logits (N, 1, H, W).
        weights: of the terms.
    """

    def __init__(self, student: nn.Module, weights: LossWeights) -> None:
        super().__init__()
        self.student = student
        self._weights = weights

    def forward(
        self, image: Tensor, mask: Tensor, progress: float, teaching: Any = None
    ) -> dict[str, Tensor]:
        """The terms by name; ``loss`` is their weighted sum, to descend.

        Args:
            image: float32 (N, 3, H, W) in 0..1.
            mask: float32 (N, 1, H, W) of 0 and 1.
            progress: share of the run that is done, 0 to 1.
            teaching: what teachers say about the batch; ignored here.
        """
        return self.supervise(self.student(image).float(), mask)

    def supervise(self, logits: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """The terms for logits (N, 1, H, W)."""
        weights = self._weights
        bce = weighted_bce(logits, mask, boundary_weight(mask, weights.boundary, weights.boundary_width))
        dice = soft_dice(logits, mask)
        return {"loss": weights.bce * bce + weights.dice * dice, "bce": bce, "dice": dice}
