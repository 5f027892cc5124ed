"""The networks by name: ``create("edge-presence")`` is the student, ``"paper"`` the published one.

Networks from elsewhere have names too: see :mod:`~.foreign`.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from microaunet_runtime.errors import InputError

from . import foreign
from .edge import EdgeMicroAUNet
from .lite import LiteTeacher
from .malunet import MALUNet
from .paper import PaperMicroAUNet

REGISTRY: dict[str, Callable[[], nn.Module]] = {
    "edge": EdgeMicroAUNet,
    "edge-presence": lambda: EdgeMicroAUNet(widths=(24, 24, 32, 48), gated=2, presence=True),
    "paper": PaperMicroAUNet,
    "malunet": MALUNet,
    # A teacher: the same shape, twice as wide.
    "edge-wide": lambda: EdgeMicroAUNet(stem=16, widths=(32, 48, 64, 96), width=48),
    # A teacher whose encoder was trained on ImageNet.
    "lite": LiteTeacher,
}


def create(name: str) -> nn.Module:
    """A network with fresh parameters.

    Args:
        name: of this package, of a registered network, or ``package.module:factory``, which is imported.

    Returns a module from float32 (N, 3, H, W) in 0..1 to logits (N, 1, H, W); this package's, called with
    ``return_features=True``, return the logits and the encoder's stage features.

    Raises:
        InputError: no network of that name, or as :func:`.foreign.build`.
    """
    if name in REGISTRY:
        return REGISTRY[name]()
    others = foreign.registered()
    if name in others or foreign.is_path(name):
        return foreign.build(name)
    raise InputError(
        f"no network is named {name!r}: use one of {', '.join([*REGISTRY, *others])}, or name one as "
        "package.module:factory"
    )


def parameters(model: nn.Module) -> int:
    """Parameters that training changes; BatchNorm's running statistics are none."""
    return sum(parameter.numel() for parameter in model.parameters())
