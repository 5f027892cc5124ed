"""The networks by name: ``create("edge-presence")`` is the student, ``"paper"`` the published one."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from microaunet_runtime.errors import InputError

from .edge import EdgeMicroAUNet
from .lite import LiteTeacher
from .malunet import MALUNet
from .paper import PaperMicroAUNet

REGISTRY: dict[str, Callable[[], nn.Module]] = {
    "edge": EdgeMicroAUNet,
    "edge-presence": lambda: EdgeMicroAUNet(presence=True),
    "paper": PaperMicroAUNet,
    "malunet": MALUNet,
    # A teacher: the same shape, twice as wide.
    "edge-wide": lambda: EdgeMicroAUNet(stem=16, widths=(32, 48, 64, 96), width=48),
    # A teacher whose encoder was trained on ImageNet.
    "lite": LiteTeacher,
}


def create(name: str) -> nn.Module:
    """A network with fresh parameters.

    Returns a module from float32 (N, 3, H, W) in 0..1 to logits (N, 1, H, W); called with
    ``return_features=True`` it returns the logits and the encoder's stage features.

    Raises:
        InputError: no network of that name.
    """
    if name not in REGISTRY:
        raise InputError(f"no network is named {name!r}: use one of {', '.join(REGISTRY)}")
    return REGISTRY[name]()


def parameters(model: nn.Module) -> int:
    """Parameters that training changes; BatchNorm's running statistics are none."""
    return sum(parameter.numel() for parameter in model.parameters())
