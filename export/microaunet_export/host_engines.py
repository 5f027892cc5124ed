"""Engines on the exporting machine, by the runtime's own builder, where a TensorRT is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.progress import Progress

from microaunet_runtime.building.build import available_builder, build_every
from microaunet_runtime.building.compiling import bind_polygraphy
from microaunet_runtime.building.targets import find_target
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import InputError
from microaunet_runtime.inference.tensorrt.versions import installed

# Without a GPU, TensorRT-RTX builds for a named one. Ampere: the closest it knows to a Jetson Orin (SM87).
NAMED_TARGET = "SM86"


def choose_builder() -> None:
    """Choose which TensorRT builds in this process, before a network's own code imports another."""
    if available_builder() is not None:
        bind_polygraphy(installed())


def build_engines(bundle: Bundle, progress: Progress, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Build every ONNX file of ``bundle`` for this machine's GPU, or else for :data:`NAMED_TARGET`.

    If no builder is installed, nothing is built, and one line says how to get one.

    Returns:
        The engines' records: facts, layers, size in bytes, seconds.

    Raises:
        BuildRefusedError, GateError: an ONNX file was refused, or its engine disagrees with the reference.
    """
    if available_builder() is None:
        say(
            "engines: none, no TensorRT is installed here; on the device run microaunet-build, or install "
            "microaunet[rtx] to check the graphs with NVIDIA's builder on this machine"
        )
        return []
    trt, named = installed(), None
    try:
        found = find_target(None, trt)
        if trt.capabilities.names_target and found.compute_capability not in trt.targets.values():
            say(
                "engines: {} does not build for this machine's GPU (SM{}{})".format(
                    trt.title, *found.compute_capability
                )
            )
            named = NAMED_TARGET
    except InputError as error:
        if not trt.capabilities.names_target:
            say(f"engines: none, {error}")
            return []
        named = NAMED_TARGET
    built = build_every(bundle, compute_capability=named, progress=progress, say=say)
    return [one.engine.record() for one in built]
