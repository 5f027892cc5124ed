"""The common part of the two published networks: six stages down, a bridge over the skips, five stages up."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

NORM_GROUPS = 4


def upsample(x: Tensor) -> Tensor:
    """Twice the height and width, bilinear with aligned corners, as published."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class BridgedUNet(nn.Module):
    """The forward pass; subclasses define the stages.

    Takes float32 (N, 3, H, W) in 0..1, H and W multiples of 32. Returns logits (N, 1, H, W); with
    ``return_features`` also the encoder's outputs t1..t5 before the bridge, at 1/2 .. 1/32 of the size.
    """

    encoder: nn.ModuleList
    encoder_norms: nn.ModuleList
    bridge: nn.Module
    decoder: nn.ModuleList
    decoder_norms: nn.ModuleList
    head: nn.Module

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        features = []
        for stage, norm in zip(self.encoder, self.encoder_norms, strict=False):
            x = F.gelu(F.max_pool2d(norm(stage(x)), 2))
            features.append(x)
        x = F.gelu(self.encoder[-1](x))
        skips = self.bridge(features)
        for index, (stage, norm) in enumerate(zip(self.decoder, self.decoder_norms, strict=True)):
            x = norm(stage(x))
            x = F.gelu(upsample(x) if index else x) + skips[-1 - index]
        logits = upsample(self.head(x))
        return (logits, features) if return_features else logits
