"""The subject of an export: shipped weights, a network from elsewhere, or an ONNX file, all in one form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto

from microaunet import checkpoint
from microaunet.models import REGISTRY, foreign
from microaunet.models import parameters as count_parameters
from microaunet.models.complexity import count_macs
from microaunet.models.fuse import deploy
from microaunet_runtime.errors import InputError
from microaunet_runtime.files import sha256

from . import accuracy, onnx_file
from .coverage import cost
from .graph import PROBABILITY, clean, export_graph, trace
from .normalise import Normalisation, Normalised, fold
from .onnx_file import OnnxReference
from .reference import Expected, Reference

STRIDE = 32  # the networks of this package halve a frame five times
Graph = Callable[[int], ModelProto]


@dataclass(frozen=True)
class Subject:
    """A network with everything that an export must know about it.

    Attributes:
        name: a plain one, for the manifest.
        path: the file that holds the weights.
        sha256: of that file.
        threshold: on the probability.
        presence, stabilised_presence: as in the manifest.
        parameters: of the network.
        graph: from the opset to the deployed graph of one frame, in FP32.
        reference: from a frame, uint8 (H, W, 3), to the probability (H, W) and presence that the network
            gives by itself.
        card: the accuracy that the weights' card states (:func:`.accuracy.of_card`).
        facts: more for the manifest: architecture, MACs, what the network costs before it is prepared.
        trained_on: the data lists in the weights' card.
        int8: what the weights' card says of a training that simulated INT8.
    """

    name: str
    path: Path
    sha256: str
    height: int
    width: int
    threshold: float
    presence: float
    stabilised_presence: float
    parameters: int
    graph: Graph
    reference: Expected
    card: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)
    trained_on: tuple[str, ...] = ()
    int8: Any = None


def of_weights(
    weights: str,
    network: str | None = None,
    normalisation: Normalisation | None = None,
    size: tuple[int, int] | None = None,
    threshold: float | None = None,
) -> Subject:
    """Weights in a PyTorch network.

    Args:
        weights: a shipped name or a .safetensors file.
        network: whose weights they are, see :func:`microaunet.models.create`; None when the file says it.
        normalisation: of a network from elsewhere; None for plain x / 255.
        size: height and width of the frames; None for the weights' own.
        threshold: replaces the weights' own.

    Raises:
        InputError: the weights cannot be used, the network does not take frames of this size, breaks the
            contract, or already ends in a sigmoid.
    """
    found, path = checkpoint.load(weights, network), checkpoint.locate(weights)
    height, width = size or found.size
    cut = checked_threshold(found.threshold if threshold is None else threshold)
    own = found.architecture in REGISTRY
    if own:
        _check_sides(found.architecture, height, width)
    foreign.check(found.model, found.architecture, height, width)
    if own and normalisation:
        raise InputError(
            f"{found.name} is of the network {found.architecture}, which takes frames in 0..1: "
            "leave out --mean and --std"
        )
    normalise = normalisation or Normalisation()

    def graph(opset: int) -> ModelProto:
        if own:
            return export_graph(deploy(found.model), height, width, cut, opset)
        model = export_graph(Normalised(found.model, normalise), height, width, cut, opset)
        _check_end(model, found.architecture)
        fold(model)
        return clean(model, opset)

    as_trained = trace(found.model, torch.zeros(1, 3, height, width), ("x",), ("logits",), 17)
    return Subject(
        name=_plain(found.name),
        path=path,
        sha256=found.sha256,
        height=height,
        width=width,
        threshold=cut,
        presence=found.presence,
        stabilised_presence=found.stabilised_presence,
        parameters=count_parameters(found.model),
        graph=graph,
        reference=Reference(found.model, normalise),
        card=accuracy.of_card(found.card, path.with_suffix(".json")),
        facts={
            "architecture": found.architecture,
            "macs": count_macs(found.model, height, width),
            "cost_as_trained": asdict(cost(as_trained)),
            **_described(normalisation),
        },
        trained_on=found.trained_on,
        int8=found.card.get("int8"),
    )


def of_onnx(
    path: Path,
    normalisation: Normalisation | None = None,
    size: tuple[int, int] | None = None,
    threshold: float | None = None,
) -> Subject:
    """An ONNX file.

    Args:
        normalisation: that its input expects; None for plain x / 255.
        size: height and width of the frames; None for the file's own.
        threshold: of the mask; None for 0.5.

    Raises:
        InputError: as :func:`.onnx_file.load`.
    """
    file = onnx_file.load(path, size)
    cut = checked_threshold(checkpoint.THRESHOLD if threshold is None else threshold)
    normalise = normalisation or Normalisation()
    counted = cost(file.core)
    return Subject(
        name=_plain(path.stem),
        path=path,
        sha256=sha256(path),
        height=file.height,
        width=file.width,
        threshold=cut,
        presence=0.0,
        stabilised_presence=0.0,
        parameters=file.parameters,
        graph=lambda opset: file.deployed(normalise, cut, opset),
        reference=OnnxReference(file, normalise),
        card=accuracy.of_card({}, path),
        facts={
            "architecture": "onnx",
            "macs": counted.macs,
            "cost_as_trained": asdict(counted),
            **_described(normalisation),
        },
    )


def checked_threshold(threshold: float) -> float:
    """``threshold``, if it is valid.

    Raises:
        InputError: it does not lie between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise InputError(f"threshold {threshold} is not between 0 and 1")
    return threshold


def _check_sides(name: str, height: int, width: int) -> None:
    """Check that a network of this package, ``name``, takes frames of this size.

    Raises:
        InputError: a side is no multiple of :data:`STRIDE`; the sizes beside it are named.
    """
    if height % STRIDE == width % STRIDE == 0:
        return
    below, above = (
        "x".join(str(max(STRIDE, STRIDE * rounded(side / STRIDE))) for side in (height, width))
        for rounded in (math.floor, math.ceil)
    )
    raise InputError(
        f"network {name} takes frames whose sides are multiples of {STRIDE}, not {height} x {width}: "
        f"give --size {below} or --size {above}"
    )


def _check_end(model: ModelProto, name: str) -> None:
    """Check that the sigmoid of the contract is the only one at the end."""
    makers = {output: node for node in model.graph.node for output in node.output}
    before = makers.get(makers[PROBABILITY].input[0])
    if before is not None and before.op_type in ("Sigmoid", *onnx_file.BOUNDED):
        raise InputError(
            f"network {name} ends in {before.op_type}, expected logits: leave it out, "
            "the export adds a sigmoid"
        )


def _plain(name: str) -> str:
    """``name`` in a form that is valid in a manifest."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name).lstrip(".-")[:128] or "network"


def _described(normalisation: Normalisation | None) -> dict[str, Any]:
    return {"normalisation": asdict(normalisation)} if normalisation else {}
