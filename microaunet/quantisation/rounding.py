"""INT8's rounding in floating point, as an engine does it: symmetric, with zero point 0."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

LOWEST, HIGHEST = -128, 127

CLIPS = 32  # ranges that are compared
NARROWEST = 0.2  # of the highest value: the narrowest of them


class _Rounding(torch.autograd.Function):
    """Rounding that counts as the identity for gradients; the step learns from what it rounds and clips.

    PyTorch's own takes five times as long on a CPU, or does not learn the step.
    """

    @staticmethod
    def forward(context: Any, x: Tensor, step: Tensor) -> Tensor:
        made = (x / step).round_().clamp_(LOWEST, HIGHEST).mul_(step)
        context.save_for_backward(x, made, step)
        return made

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, made, step = context.saved_tensors
        (gradient,) = gradients
        # What is clipped differs from what it was by more than half a step.
        inside = gradient * ((made - x).abs_() <= step * (0.5 + 1e-3))
        learned = (gradient * made).sum() - (inside * x).sum()
        return inside, learned / step / math.sqrt(x.numel() * HIGHEST)


def rounded(x: Tensor, step: Tensor) -> Tensor:
    """``x`` as INT8 holds it: the nearest multiple of ``step`` from -128 to 127 times it.

    Rounding counts as the identity for gradients (arXiv 1308.3432); what is clipped has none. The step's
    own gradient is that of learned step sizes (arXiv 1902.08153), with their scale.

    Args:
        step: float32, one value.
    """
    made = _Rounding.apply(x, step)
    assert isinstance(made, Tensor)
    return made


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
