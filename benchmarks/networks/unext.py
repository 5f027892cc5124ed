"""UNeXt (arXiv 2203.04967): convolutions at the top, shifted token MLPs below; 1.47 M parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHIFTS = (-2, -1, 0, 1, 2)  # pixels, one per fifth of the channels


class UNeXt(nn.Module):
    """Three convolution stages and two token stages down, mirrored up, with added skips."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_conv(c_in, c_out) for c_in, c_out in ((3, 16), (16, 32), (32, 128)))
        self.embed = nn.ModuleList(PatchEmbed(c_in, c_out) for c_in, c_out in ((128, 160), (160, 256)))
        self.down_tokens = nn.ModuleList(TokenBlock(c) for c in (160, 256))
        self.up = nn.ModuleList(
            _conv(c_in, c_out) for c_in, c_out in ((256, 160), (160, 128), (128, 32), (32, 16))
        )
        self.up_tokens = nn.ModuleList(TokenBlock(c) for c in (160, 128))
        self.last = nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), H and W multiples of 32 -> logits (N, 1, H, W)."""
        skips = []
        for conv in self.down:
            x = F.relu(F.max_pool2d(conv(x), 2))
            skips.append(x)
        for embed, tokens in zip(self.embed, self.down_tokens, strict=True):
            x = tokens(embed(x))
            skips.append(x)
        skips.pop()
        for level, conv in enumerate(self.up):
            x = F.relu(_double(conv(x))) + skips.pop()
            if level < len(self.up_tokens):
                x = self.up_tokens[level](x)
        return self.head(F.relu(_double(self.last(x))))


class PatchEmbed(nn.Module):
    """(N, Cin, H, W) -> (N, Cout, H/2, W/2): a 3x3 convolution of stride 2, normalised over channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return _over_channels(self.norm, self.conv(x))


class TokenBlock(nn.Module):
    """(N, C, H, W) -> the same: x plus the shifted MLP of normalised x, and a norm after the block.

    The MLP shifts channel groups along the height, mixes channels, convolves depthwise, shifts along the
    width and mixes again, so that a linear layer over channels sees a neighbourhood.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.mix_height = nn.Linear(channels, channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.mix_width = nn.Linear(channels, channels)
        self.norm_out = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = _over_channels(self.mix_height, _shift(_over_channels(self.norm, x), 2))
        y = F.gelu(self.depthwise(y))
        y = x + _over_channels(self.mix_width, _shift(y, 3))
        return _over_channels(self.norm_out, y)


def _shift(x: Tensor, axis: int) -> Tensor:
    """Move each fifth of the channels by its entry of SHIFTS along ``axis``; zeros come in at the border."""
    size = x.shape[axis]
    reach = max(SHIFTS)
    padded = F.pad(x, (0, 0, reach, reach) if axis == 2 else (reach, reach, 0, 0))
    groups = padded.chunk(len(SHIFTS), dim=1)
    return torch.cat(
        [g.narrow(axis, reach - shift, size) for g, shift in zip(groups, SHIFTS, strict=True)], dim=1
    )


def _over_channels(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer of the last axis to the channels of (N, C, H, W)."""
    return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def _conv(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out))
