"""Networks as people bring them: some keep the contract, the others break it in one way each."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SmallUNet(nn.Module):
    """Two scales with a shortcut, BatchNorm after the names' order, a transposed convolution."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(channels), nn.BatchNorm2d(2 * channels)])
        self.first = nn.Conv2d(3, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False)
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.head = nn.Conv2d(2 * channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = F.relu(self.norms[0](self.first(x)))
        coarse = F.relu(self.norms[1](self.second(fine)))
        logits: Tensor = self.head(torch.cat([fine, F.relu(self.up(coarse))], 1))
        return logits


class Peeking(SmallUNet):
    """The frame is read by more than convolutions: nothing can be folded."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x.mean(1, keepdim=True) - F.avg_pool2d(x, 3, 1, 1)[:, :1]


class WithSigmoid(SmallUNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


class TwoClasses(SmallUNet):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).repeat(1, 2, 1, 1)


class Coarse(SmallUNet):
    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(super().forward(x), 2)


class InADict(SmallUNet):
    def forward(self, x: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"out": super().forward(x)}


class Grey(SmallUNet):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1)


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """``network`` with BatchNorms that do something, and a map that differs from pixel to pixel."""
    torch.manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 1.0, 2.0)
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.3, 1.0)
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.3)
    return network.eval()


def needs_arguments(channels: int) -> nn.Module:
    return SmallUNet(channels)


def no_network() -> int:
    return 3


def monai_unet() -> nn.Module:
    """A U-Net of MONAI, small: what docs/networks.md trains."""
    from monai.networks.nets import BasicUNet

    return BasicUNet(
        spatial_dims=2,
        in_channels=3,
        out_channels=1,
        features=(8, 8, 16, 24, 32, 8),
        act="relu",
        norm="batch",
        upsample="nontrainable",
    )
