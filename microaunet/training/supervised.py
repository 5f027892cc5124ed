"""A student and its loss as one module: what every process wraps, steps and sees the same way."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..models.presence_head import head_of
from ..quantisation.simulated import SimulatedInt8
from .losses import boundary_weight, disagreement, soft_dice, weighted_bce
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
        self, image: Tensor, mask: Tensor, presence: Tensor, progress: float, teaching: Any = None
    ) -> dict[str, Tensor]:
        """The terms by name; ``loss`` is their weighted sum, to descend.

        Args:
            image: float32 (N, 3, H, W) in 0..1.
            mask: float32 (N, 1, H, W) in 0..1.
            presence: float32 (N,) in 0..1: whether the frame shows a polyp.
            progress: share of the run that is done, 0 to 1.
            teaching: what teachers say about the batch; ignored here.
        """
        if not self._learns_presence:
            logits = self.student(image).float()
            return self.agree(self.supervise(logits, mask), logits, image)
        logits, features = self.student(image, return_features=True)
        terms = self.supervise(logits.float(), mask, self.presence(features), presence)
        return self.agree(terms, logits.float(), image)

    def agree(self, terms: dict[str, Tensor], logits: Tensor, image: Tensor) -> dict[str, Tensor]:
        """``terms``, with how much the masks of INT8 and of the same weights in float differ on ``image``."""
        if self._weights.agreement and isinstance(self.student, SimulatedInt8):
            terms["disagreement"] = disagreement(logits, self.student.compute_in_float(image))
            terms["loss"] = terms["loss"] + self._weights.agreement * terms["disagreement"]
        return terms

    @property
    def _learns_presence(self) -> bool:
        return bool(self._weights.presence) and head_of(self.student) is not None

    def presence(self, features: list[Tensor]) -> Tensor | None:
        """The student's presence logits (N,) from its stage outputs; None when it does not learn presence."""
        head = head_of(self.student)
        return head(features[-1]).float() if head is not None and self._learns_presence else None

    def supervise(
        self, logits: Tensor, mask: Tensor, presence: Tensor | None = None, present: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The terms for logits (N, 1, H, W), and for presence logits (N,) against ``present`` (N,)."""
        weights = self._weights
        bce = weighted_bce(logits, mask, boundary_weight(mask, weights.boundary, weights.boundary_width))
        dice = soft_dice(logits, mask)
        terms = {"loss": weights.bce * bce + weights.dice * dice, "bce": bce, "dice": dice}
        if presence is not None and present is not None:
            terms["presence"] = F.binary_cross_entropy_with_logits(presence, present)
            terms["loss"] = terms["loss"] + weights.presence * terms["presence"]
        return terms
