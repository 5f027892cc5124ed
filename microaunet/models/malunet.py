"""The teacher of the paper: MALUNet, arXiv 2211.01784, widths [8, 16, 24, 32, 48, 64], 177,943 parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bridged import NORM_GROUPS, BridgedUNet
from .initialise import initialise

WIDTHS = (8, 16, 24, 32, 48, 64)
DILATIONS = (7, 5, 2, 1)


class GroupNormSeparableConv(nn.Module):
    """Depthwise - GroupNorm - 1x1, all with bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs)
        self.norm = nn.GroupNorm(NORM_GROUPS, inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.norm(self.depthwise(x)))


class GatedUnit(nn.Module):
    """A sigmoid branch (3x3) times a GELU branch (5x5), projected, plus a 1x1 shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.gate = GroupNormSeparableConv(inputs, inputs, 3)
        self.value = GroupNormSeparableConv(inputs, inputs, 5)
        self.project = GroupNormSeparableConv(inputs, outputs, 3)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        gated = torch.sigmoid(self.gate(x)) * F.gelu(self.value(x))
        return F.gelu(self.project(gated)) + self.shortcut(x)


class DilatedGatedAttention(nn.Module):
    """Four groups of channels at four dilations, mixed by a 1x1, then the gated unit."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        part = inputs // len(DILATIONS)
        self.dilated = nn.ModuleList(
            nn.Conv2d(part, part, 3, padding=dilation, dilation=dilation, groups=part)
            for dilation in DILATIONS
        )
        self.norm = nn.GroupNorm(NORM_GROUPS, inputs)
        self.mix = nn.Conv2d(inputs, inputs, 1)
        self.gated = GatedUnit(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(DILATIONS), 1)
        x = torch.cat([conv(part) for conv, part in zip(self.dilated, parts, strict=True)], 1)
        return self.gated(F.gelu(self.mix(self.norm(x))))


class ExternalAttention(nn.Module):
    """Attention to a learned memory of 4C slots instead of to the other pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(width, width, 1)
        self.keys = nn.Conv1d(width, 4 * width, 1, bias=False)
        self.values = nn.Conv1d(4 * width, width, 1, bias=False)
        self.project = nn.Conv2d(width, width, 1, bias=False)
        self.norm = nn.GroupNorm(NORM_GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x)
        attention = torch.softmax(self.keys(query.flatten(2)), -1)
        attention = attention / (1e-9 + attention.sum(1, keepdim=True))
        read = self.values(attention).view_as(query)
        return F.gelu(self.norm(self.project(read)) + x)


class AttentionBridge(nn.Module):
    """Spatial attention shared by the scales, then channel attention with one linear layer per scale."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.mix = nn.Conv1d(1, 1, 3, padding=1, bias=False)
        self.channel = nn.ModuleList(nn.Linear(sum(widths), width) for width in widths)
        self.spatial = nn.Conv2d(2, 1, 7, padding=9, dilation=3)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        gated = []
        for feature in features:
            maps = torch.cat([feature.mean(1, keepdim=True), feature.amax(1, keepdim=True)], 1)
            gated.append(feature * torch.sigmoid(self.spatial(maps)))
        seen = [feature + gate for feature, gate in zip(features, gated, strict=True)]
        pooled = torch.cat([feature.mean((2, 3)) for feature in seen], 1)
        mixed = self.mix(pooled[:, None])[:, 0]
        return [
            feature * torch.sigmoid(linear(mixed))[:, :, None, None] + gate
            for feature, gate, linear in zip(seen, gated, self.channel, strict=True)
        ]


class MALUNet(BridgedUNet):
    """The published teacher. Takes float32 (N, 3, H, W) in 0..1, H and W multiples of 32.

    Returns logits (N, 1, H, W); with ``return_features`` also the encoder's outputs t1..t5 before the bridge.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        pairs = list(zip((3, *widths), widths, strict=False))
        self.encoder = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs[:3])
        for a, b in pairs[3:]:
            self.encoder.append(nn.Sequential(ExternalAttention(a), DilatedGatedAttention(a, b)))
        self.bridge = AttentionBridge(widths[:-1])
        self.decoder = nn.ModuleList()
        for b, a in pairs[:2:-1]:
            self.decoder.append(nn.Sequential(DilatedGatedAttention(a, b), ExternalAttention(b)))
        for b, a in pairs[2:0:-1]:
            self.decoder.append(nn.Conv2d(a, b, 3, padding=1))
        self.encoder_norms = nn.ModuleList(nn.GroupNorm(NORM_GROUPS, width) for width in widths[:-1])
        self.decoder_norms = nn.ModuleList(nn.GroupNorm(NORM_GROUPS, width) for width in widths[-2::-1])
        self.head = nn.Conv2d(widths[0], 1, 1)
        self.apply(initialise)
        for module in self.modules():
            if isinstance(module, ExternalAttention):
                module.values.weight.data = module.keys.weight.data.transpose(0, 1).clone()
