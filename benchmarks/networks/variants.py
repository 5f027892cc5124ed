"""The student with one of its design choices undone, to measure the gain of each choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor, fx, nn

from microaunet.models import REGISTRY
from microaunet.models.edge import STRIDE, EdgeMicroAUNet, conv_norm

GROUPS = 4  # as in the published networks


class PlainConv(nn.Sequential):
    """One full convolution - BN - ReLU, in place of a separable one."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, *, residual: bool = False, **shape: int
    ) -> None:
        super().__init__(conv_norm(inputs, outputs, kernel, **shape))
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        return F.relu(out + x) if self.residual else F.relu(out)


def plain() -> nn.Module:
    """Full convolutions at as many parameters."""
    return EdgeMicroAUNet(widths=(8, 13, 15, 17), kernels=(3, 3, 3, 3), width=12, block=PlainConv)


def ungated() -> nn.Module:
    """No attention."""
    return EdgeMicroAUNet(gated=0)


def undilated() -> nn.Module:
    """No dilation: neighbouring pixels only."""
    model = EdgeMicroAUNet()
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.dilation != (1, 1):
            module.dilation, module.padding = (1, 1), (module.kernel_size[0] // 2,) * 2
    return model


def group_norm() -> nn.Module:
    """GroupNorm in place of BatchNorm: it cannot be folded."""
    model = EdgeMicroAUNet()
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.GroupNorm(GROUPS, child.num_features))
    return model


def gelu() -> nn.Module:
    """GELU in place of ReLU."""

    def change(node: fx.Node) -> None:
        node.target, node.kwargs = F.gelu, {}

    return _rewritten(EdgeMicroAUNet(), F.relu, change)


def bilinear_head() -> nn.Module:
    """One channel, resized bilinearly to the frame, in place of the sub-pixel head."""

    def change(node: fx.Node) -> None:
        node.target, node.args = F.interpolate, node.args[:1]
        node.kwargs = {"scale_factor": STRIDE, "mode": "bilinear", "align_corners": False}

    return _rewritten(_with_head(EdgeMicroAUNet(), 1), F.pixel_shuffle, change)


def full_size_stem() -> nn.Module:
    """A stem without stride, as published: every stage works at twice the size, the head fills in 2 x 2."""

    def change(node: fx.Node) -> None:
        node.args = (node.args[0], STRIDE // 2)

    model = _with_head(EdgeMicroAUNet(), (STRIDE // 2) ** 2)
    stem = model.stem[0]
    assert isinstance(stem, nn.Conv2d)
    stem.stride = (1, 1)
    return _rewritten(model, F.pixel_shuffle, change)


def _with_head(model: EdgeMicroAUNet, outputs: int) -> EdgeMicroAUNet:
    """The model with another head, initialised like the student's."""
    head = nn.Conv2d(model.head.in_channels, outputs, 1)
    assert head.bias is not None
    assert model.head.bias is not None
    nn.init.normal_(head.weight, std=model.head.weight.detach().std().item())
    nn.init.constant_(head.bias, model.head.bias[0].item())
    model.head = head
    return model


def _rewritten(model: nn.Module, operation: Any, change: Callable[[fx.Node], None]) -> nn.Module:
    """``model`` with every call of ``operation`` changed; it gives logits only."""
    traced = fx.symbolic_trace(model, concrete_args={"return_features": False})
    for node in traced.graph.find_nodes(op="call_function", target=operation):
        change(node)
    traced.recompile()
    return traced


VARIANTS: dict[str, Callable[[], nn.Module]] = {
    "edge-plain": plain,
    "edge-ungated": ungated,
    "edge-undilated": undilated,
    "edge-group-norm": group_norm,
    "edge-gelu": gelu,
    "edge-bilinear-head": bilinear_head,
    "edge-full-size-stem": full_size_stem,
}


def register() -> None:
    """Register the variants, so that recipes of this process can name them."""
    REGISTRY.update(VARIANTS)
