"""The student exactly as published: MicroAUNet, arXiv 2511.01143, 24,881 parameters."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bridged import NORM_GROUPS, BridgedUNet
from .initialise import initialise

WIDTHS = (4, 8, 12, 16, 24, 32)


class SeparableDilatedConv(nn.Module):
    """Depthwise 3x3 (dilated) - BN - ReLU - 1x1 - BN - ReLU."""

    def __init__(self, inputs: int, outputs: int, dilation: int = 1) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            inputs, inputs, 3, padding=dilation, dilation=dilation, groups=inputs, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.depthwise_norm(self.depthwise(x)))
        return F.relu(self.pointwise_norm(self.pointwise(x)))


class ResidualDilatedBlock(nn.Module):
    """Two separable convolutions, dilations 2 and 1, around a GELU, with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = SeparableDilatedConv(width, width, dilation=2)
        self.near = SeparableDilatedConv(width, width, dilation=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.near(F.gelu(self.wide(x))) + x)


def _separable(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Depthwise - GroupNorm - 1x1, all with bias."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs),
        nn.GroupNorm(NORM_GROUPS, inputs),
        nn.Conv2d(inputs, outputs, 1),
    )


class GatedAttentionBlock(nn.Module):
    """A separable 3x3, a sigmoid gate per pixel, a separable 1x1 to the new width, and a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = _separable(inputs, inputs, 3)
        self.gate = nn.Conv2d(inputs, 1, 1, bias=False)
        self.project = _separable(inputs, outputs, 1)
        self.shortcut = _separable(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        body = self.body(x)
        return self.project(body * torch.sigmoid(self.gate(body))) + self.shortcut(x)


class SharedAttentionBridge(nn.Module):
    """One channel and one spatial attention, their parameters shared by all scales (the paper's LSCAB)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.widths = list(widths)
        self.alpha = nn.Parameter(torch.tensor(0.5))
        self.beta = nn.Parameter(torch.tensor(0.5))
        self.mix = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.channel = nn.Linear(sum(widths), sum(widths))
        self.spatial = nn.Conv2d(2, 1, 7, bias=False)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        pooled = torch.cat([feature.mean((2, 3)) for feature in features], 1)
        weights = torch.sigmoid(self.channel(self.mix(pooled[:, None])[:, 0]))
        channels = weights[:, :, None, None].split(self.widths, 1)
        out = []
        for feature, channel in zip(features, channels, strict=True):
            maps = torch.cat([feature.mean(1, keepdim=True), feature.amax(1, keepdim=True)], 1)
            spatial = torch.sigmoid(self.spatial(F.pad(maps, (3, 3, 3, 3), mode="reflect")))
            out.append(feature * (self.alpha * channel + self.beta * spatial) + feature)
        return out


class PaperMicroAUNet(BridgedUNet):
    """The published student. Takes float32 (N, 3, H, W) in 0..1, H and W multiples of 32 and at least 128.

    Returns logits (N, 1, H, W); with ``return_features`` also the encoder's outputs t1..t5 before the bridge,
    at 1/2 .. 1/32 of the size.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([SeparableDilatedConv(3, widths[0])])
        for inputs, outputs in itertools.pairwise(widths):
            self.encoder.append(
                nn.Sequential(ResidualDilatedBlock(inputs), GatedAttentionBlock(inputs, outputs))
            )
        self.bridge = SharedAttentionBridge(widths[:-1])
        self.decoder = nn.ModuleList(
            nn.Sequential(GatedAttentionBlock(inputs, outputs), ResidualDilatedBlock(outputs))
            for inputs, outputs in zip(widths[::-1], widths[-2::-1], strict=False)
        )
        self.encoder_norms = nn.ModuleList(nn.GroupNorm(NORM_GROUPS, width) for width in widths[:-1])
        self.decoder_norms = nn.ModuleList(nn.GroupNorm(NORM_GROUPS, width) for width in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], 1, 1)
        self.apply(initialise)
