"""Initialisation of the published networks: He-normal by fan-out, truncated normal for linear layers."""

from __future__ import annotations

import math

from torch import nn


def initialise(module: nn.Module) -> None:
    """Initialise one layer in place; use with ``nn.Module.apply``."""
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
    elif isinstance(module, nn.Conv1d):
        nn.init.normal_(module.weight, std=math.sqrt(2 / (module.kernel_size[0] * module.out_channels)))
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
