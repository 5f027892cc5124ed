"""An exponential moving average of a network's parameters and buffers: what is validated and saved."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """Follows ``source``; early on it follows faster, so that the first random weights are forgotten.

    Args:
        source: the network that trains, already on its device: its tensors are kept by reference.
        decay: share of the average that stays per update, in the long run.
    """

    def __init__(self, source: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(source).eval().requires_grad_(False)
        self.decay = decay
        self._average, self._counters = _tensors(self.model)
        self._source, self._source_counters = _tensors(source)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the source after optimiser step ``step`` (from 1)."""
        decay = min(self.decay, step / (step + 10))
        torch._foreach_lerp_(self._average, self._source, 1 - decay)
        for mine, theirs in zip(self._counters, self._source_counters, strict=True):
            mine.copy_(theirs)


def _tensors(model: nn.Module) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The floating-point state, and the rest (BatchNorm's counters)."""
    tensors = list(model.state_dict().values())
    floating = [tensor for tensor in tensors if tensor.is_floating_point()]
    return floating, [tensor for tensor in tensors if not tensor.is_floating_point()]
