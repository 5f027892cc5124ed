"""U-Net (arXiv 1505.04597) as light-weight papers count it: 32 channels at the top, 7.77 M parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256, 512)


class UNet(nn.Module):
    """Five levels of two 3x3 convolutions with BatchNorm and ReLU; transposed ones up, concatenated skips."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip((3, *WIDTHS), WIDTHS, strict=False)
        self.encoder = nn.ModuleList(_double_conv(c_in, c_out) for c_in, c_out in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in WIDTHS[-2::-1])
        self.decoder = nn.ModuleList(_double_conv(2 * c, c) for c in WIDTHS[-2::-1])
        self.head = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W), H and W multiples of 16 -> logits (N, 1, H, W)."""
        skips = []
        for level, block in enumerate(self.encoder):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, block in zip(self.up, self.decoder, strict=True):
            x = block(torch.cat([up(x), skips.pop()], dim=1))
        return self.head(x)


def _double_conv(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
        nn.Conv2d(c_out, c_out, 3, padding=1),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    )
