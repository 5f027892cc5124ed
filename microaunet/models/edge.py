"""The student that ships: the paper's three ingredients in a shape that an embedded GPU and a CPU run fast.

- depthwise-separable dilated convolutions: every stage but the stem;
- one single-path, parameter-shared channel-spatial attention: a depthwise convolution (space) plus a linear
  map of the global mean (channels), one sigmoid, the same parameters at every scale it gates;
- boundary-enhanced multi-scale fusion: a top-down path over the gated scales, and a sub-pixel head that
  predicts 4 x 4 sub-pixels per position, trained with a boundary-weighted loss.

What differs from ``paper``, and why: a stride-2 stem (a quarter of the cost), BatchNorm after each
convolution (folds away), ReLU (fuses into the convolution before it), nearest upsampling followed by a
depthwise convolution and a sub-pixel head instead of bilinear resizing (5 to 10 times cheaper on a CPU and
one launch less on a GPU).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .presence_head import PresenceHead

STRIDE = 4  # of the finest stage, and so the sub-pixels per side of the head


def conv_norm(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    """Convolution without bias, then BatchNorm."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class SeparableConv(nn.Module):
    """Depthwise - BN - ReLU - 1x1 - BN, a ReLU at the end, and a shortcut when ``residual``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.depthwise = conv_norm(inputs, inputs, kernel, stride, dilation, groups=inputs)
        self.pointwise = conv_norm(inputs, outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        out = self.pointwise(F.relu(self.depthwise(x)))
        return F.relu(out + x) if self.residual else F.relu(out)


class SharedAttention(nn.Module):
    """x + x * sigmoid(space(x) + channels(mean of x)): one path, shared by all gated scales."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.space = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.channels = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.space(x) + self.channels(F.adaptive_avg_pool2d(x, 1)))
        return x + x * gate


class EdgeMicroAUNet(nn.Module):
    """The deployment student. Takes float32 (N, 3, H, W) in 0..1, H and W multiples of 32.

    Args:
        stem: channels at half size.
        widths: channels of the stages at 1/4, 1/8, 1/16 and 1/32.
        depths: residual separable blocks per stage.
        kernels: depthwise kernel per stage; the first block of each stage has dilation 2.
        width: channels of the top-down path. An ungated stage that has as many joins it as it is, which saves
            a launch.
        gated: scales, from the coarsest, that the attention gates; 0 leaves it out.
        block: what the stages and the top-down path are made of, with the arguments of ``SeparableConv``.
        presence: whether there is a presence head, as the attribute ``presence``, for the last stage output.

    Returns logits (N, 1, H, W); with ``return_features`` also the encoder's stage outputs at 1/4 .. 1/32.
    """

    def __init__(
        self,
        stem: int = 8,
        widths: tuple[int, ...] = (16, 24, 32, 48),
        depths: tuple[int, ...] = (1, 2, 2, 2),
        kernels: tuple[int, ...] = (3, 3, 3, 5),
        width: int = 24,
        gated: int = 3,
        block: Callable[..., nn.Module] = SeparableConv,
        presence: bool = False,
    ) -> None:
        super().__init__()
        self.stem = conv_norm(3, stem, 3, stride=2)
        self.stages = nn.ModuleList()
        inputs = stem
        for outputs, depth, kernel in zip(widths, depths, kernels, strict=True):
            blocks = [block(inputs, outputs, kernel, stride=2)]
            for index in range(depth):
                blocks.append(block(outputs, outputs, kernel, dilation=2 - index % 2, residual=True))
            self.stages.append(nn.Sequential(*blocks))
            inputs = outputs
        first = len(widths) - gated
        self.laterals = nn.ModuleList(
            nn.Identity() if index < first and outputs == width else conv_norm(outputs, width)
            for index, outputs in enumerate(widths)
        )
        self.attention = SharedAttention(width) if gated else nn.Identity()
        self.gated = gated
        self.fusion = nn.ModuleList(block(width, width, residual=True) for _ in widths[:-1])
        self.head = nn.Conv2d(width, STRIDE * STRIDE, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(self.attention, SharedAttention):
            nn.init.zeros_(self.attention.space.weight)  # the gate starts from the channels alone
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -2.0)  # polyps cover about an eighth of a frame
        self.presence = PresenceHead(widths[-1]) if presence else None

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        x = F.relu(self.stem(x))
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        scales = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        first = len(scales) - self.gated
        scales = [self.attention(scale) if index >= first else scale for index, scale in enumerate(scales)]
        x = scales[-1]
        for scale, fuse in zip(scales[-2::-1], self.fusion, strict=True):
            x = fuse(F.interpolate(x, scale_factor=2, mode="nearest") + scale)
        logits = F.pixel_shuffle(self.head(x), STRIDE)
        return (logits, features) if return_features else logits
