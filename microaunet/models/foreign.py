"""Networks from elsewhere: registered by an installed package, or named as ``package.module:factory``.

A package registers its networks under the entry-point group ``microaunet.networks``::

    [project.entry-points."microaunet.networks"]
    my-unet = "my_package.networks:my_unet"

A factory takes no arguments and returns a module from float32 (N, 3, H, W) in 0..1 to logits (N, 1, H, W).
"""

from __future__ import annotations

import importlib
import inspect
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import torch
from torch import Tensor, nn

from microaunet_runtime.errors import InputError

GROUP = "microaunet.networks"


def registered() -> dict[str, EntryPoint]:
    """The networks that installed packages register, by name."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def is_path(name: str) -> bool:
    """Whether ``name`` is a path to code (``package.module:factory``), which would be imported."""
    return ":" in name


def build(name: str) -> nn.Module:
    """The network that a registered name or ``package.module:factory`` stands for, with fresh parameters.

    The current folder is searched for the module too.

    Raises:
        InputError: there is no such module or factory, the factory fails, or it returns no network.
    """
    entry = registered().get(name) or EntryPoint(name, name, GROUP)
    module, _, attribute = entry.value.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        importlib.import_module(module)
    except Exception as error:  # importing runs the module's code, which may raise anything
        raise InputError(
            f"network {name}: the module {module!r} cannot be imported ({_first_line(error)}): "
            "install its package, or start in the folder that holds it"
        ) from error
    try:
        factory = entry.load()
    except AttributeError as error:
        raise InputError(f"network {name}: {module} has no {attribute!r}") from error
    try:
        network = factory()
    except Exception as error:  # as above
        raise InputError(
            f"network {name}: {attribute}() failed ({_first_line(error)}): name a function without arguments "
            "that returns the network"
        ) from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"network {name}: {attribute}() returned a {type(network).__name__}, expected a torch.nn.Module"
        )
    return network


def check(network: nn.Module, name: str, height: int, width: int) -> None:
    """Check that ``network`` gives logits (1, 1, height, width) for a frame (1, 3, height, width).

    Raises:
        InputError: it does not take such a frame, or returns anything else; ``name`` is in the message.
    """
    shape = (1, 3, height, width)
    was_training = network.training
    try:
        with torch.inference_mode():
            logits = network.eval()(torch.rand(shape, generator=torch.Generator().manual_seed(0)))
    except Exception as error:  # what a network raises for a shape that it cannot take has no common base
        raise InputError(
            f"network {name} does not take float32 {shape} ({_first_line(error)}): it must take RGB frames "
            "of this size; give another size, or wrap it in a module that does"
        ) from error
    finally:
        network.train(was_training)
    if not isinstance(logits, Tensor):
        raise InputError(
            f"network {name} returns a {type(logits).__name__}, expected one tensor of logits (N, 1, H, W): "
            "wrap it in a module that returns them alone"
        )
    if logits.shape != (1, 1, height, width) or logits.dtype != torch.float32:
        kind = str(logits.dtype).removeprefix("torch.")
        raise InputError(
            f"network {name} returns {kind} {tuple(logits.shape)} for a frame {shape}, expected float32 "
            f"{(1, 1, height, width)}: one class, at the size of the frame"
        )


def has_features(network: nn.Module) -> bool:
    """Whether ``network`` gives its stage features too (``return_features=True``), as distillation asks."""
    return "return_features" in inspect.signature(network.forward).parameters


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
