"""Multiply-accumulates, counted by PyTorch's own ``torch.utils.flop_counter`` (half of its FLOPs)."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def count_macs(model: nn.Module, height: int, width: int) -> int:
    """MACs of convolutions and matrix products for one frame float32 (1, 3, height, width)."""
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.zeros(1, 3, height, width, device=device))
    model.train(was_training)
    return counter.get_total_flops() // 2
