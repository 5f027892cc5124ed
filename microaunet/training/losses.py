"""The supervised loss on logits: BCE, heavier near the mask's boundary, and soft Dice."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SHARPNESS = 4.0  # of masks that are compared: logits are multiplied by it
REFERENCE_SIZE = 256  # pixels per side that boundary widths are given for
COARSE = 4  # pixels per side of a coarse one


def boundary_weight(mask: Tensor, strength: float, width: int) -> Tensor:
    """1 far from the mask's edge, up to ``1 + strength`` on it.

    Nearness is how far a pixel differs from the mean of its window, twice: it is 1 on a straight edge.

    Args:
        mask: float32 (N, 1, H, W) of 0 and 1; H and W multiples of 4.
        strength: extra weight on the edge.
        width: side of the window in pixels at 256 x 256; it scales with the frame, so that a smaller training
            resolution weights the same part of a polyp.

    Returns float32 (N, 1, H, W).
    """
    if not strength:
        return torch.ones_like(mask)
    # The mean is smooth, so a quarter of the resolution serves it, at a sixteenth of the cost.
    radius = max(1, round(width * mask.shape[-1] / (2 * COARSE * REFERENCE_SIZE)))
    coarse = F.avg_pool2d(mask, COARSE)
    mean = F.avg_pool2d(coarse, 2 * radius + 1, 1, radius, count_include_pad=False)
    mean = F.interpolate(mean, mask.shape[-2:], mode="bilinear", align_corners=False)
    return 1 + strength * (2 * (mean - mask).abs()).clamp_(max=1)


def weighted_bce(logits: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy of logits (N, 1, H, W), averaged with ``weight`` over all pixels."""
    return (F.binary_cross_entropy_with_logits(logits, mask, reduction="none") * weight).sum() / weight.sum()


def soft_dice(logits: Tensor, mask: Tensor) -> Tensor:
    """1 - Dice of the probabilities, per frame, then the mean; one pixel of smoothing serves empty masks."""
    probability = torch.sigmoid(logits).flatten(1)
    mask = mask.flatten(1)
    overlap = 2 * (probability * mask).sum(1) + 1
    return (1 - overlap / (probability.sum(1) + mask.sum(1) + 1)).mean()


def disagreement(one: Tensor, other: Tensor) -> Tensor:
    """How much the masks of two logits (N, 1, H, W) differ: 0 when they are equal, per frame, then the mean.

    It is 1 - Dice with squares in the denominator, of nearly binary masks; one pixel of smoothing.
    """
    mine, theirs = (torch.sigmoid(SHARPNESS * logits).flatten(1) for logits in (one, other))
    size = mine.square().sum(1) + theirs.square().sum(1)
    return ((mine - theirs).square().sum(1) / (size + 1)).mean()
