"""INT8's rounding in floating point, as an engine does it: symmetric, with zero point 0."""

from __future__ import annotations

import torch
from torch import Tensor

LOWEST, HIGHEST = -128, 127

CLIPS = 32  # ranges that are compared
NARROWEST = 0.2  # of the highest value: the narrowest of them


def rounded(x: Tensor, step: Tensor) -> Tensor:
    """``x`` as INT8 holds it: the nearest multiple of ``step`` from -128 to 127 times it.

    Rounding counts as the identity for gradients; what is clipped has none (arXiv 1308.3432).

    Args:
        step: float32, one value.
    """
    zero = torch.zeros((), dtype=torch.int32, device=x.device)
    return torch.fake_quantize_per_tensor_affine(x, step, zero, LOWEST, HIGHEST)


def rounded_by_channel(weight: Tensor) -> Tensor:
    """Weights (C, ...) as INT8 holds them: in each output channel the highest value is 127 steps."""
    highest = weight.detach().abs().flatten(1).amax(1).clamp(min=1e-12)
    zeros = torch.zeros(len(weight), dtype=torch.int32, device=weight.device)
    return torch.fake_quantize_per_channel_affine(weight, highest / HIGHEST, zeros, 0, LOWEST, HIGHEST)


@torch.no_grad()
def best_step(values: Tensor) -> Tensor:
    """The step, float32, that rounds ``values`` with the smallest mean squared error.

    Clipping the few highest values makes the steps of all others finer; how far that pays is tried out.
    """
    highest = values.abs().max().clamp(min=1e-12)
    steps = highest * torch.linspace(NARROWEST, 1, CLIPS, device=values.device) / HIGHEST
    errors = torch.stack([(rounded(values, step) - values).square().mean() for step in steps])
    return steps[errors.argmin()]
