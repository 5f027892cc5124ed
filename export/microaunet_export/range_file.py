"""Calibration ranges in a file: what INT8 needs to know about the training images, without any image.

Per convolution the file holds two numbers, the lowest and the highest value that it read, over all
calibration frames together. No image, and no part of one, can be rebuilt from that. The file is bound by
hash to the weights and to the graph that it was measured on, and is refused with any other.

Written by ``python -m microaunet_export.commands.ranges --weights kvasir --data DATA``, beside the weights.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from onnx import ModelProto

from microaunet_runtime.errors import InputError
from microaunet_runtime.files import read_json, write_json

from .equalise import MOST
from .graph import structure_sha256
from .quantize import convolutions

SCHEMA = 1
SUFFIX = ".ranges.json"


@dataclass(frozen=True)
class Ranges:
    """The result of calibration.

    Attributes:
        weights_sha256: of the checkpoint's file.
        graph_sha256: :func:`~.graph.structure_sha256` of the FP32 graph at opset 17.
        method: how the range was cut from the histogram, with ``methods`` the evidence for each.
        images: how many were read, ``images_sha256`` the hash of their hashes.
        equalisation: :func:`~.equalise.exponents`; the ranges hold for the graph after it.
        convolutions: by name, the lowest and highest value that the convolution reads.
        in_float: convolutions left in float, with the damage that each does alone (mean |difference|).
        mask_agreement: with FP32, of the result, on the calibration frames that were used for the choice.
    """

    weights_sha256: str
    graph_sha256: str
    method: str
    methods: dict[str, float]
    images: int
    images_sha256: str
    equalisation: dict[str, list[int]]
    convolutions: dict[str, tuple[float, float]]
    in_float: dict[str, float]
    mask_agreement: float
    schema: int = SCHEMA

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_json(path, asdict(self))

    def check(self, weights_sha256: str, model: ModelProto, source: str) -> None:
        """Check that the ranges belong to these weights and this graph.

        Raises:
            InputError: they were measured on others.
        """
        remedy = "calibrate on images with --calib DIR"
        if self.weights_sha256 != weights_sha256:
            raise InputError(f"{source} holds the ranges of other weights: {remedy}")
        names = {node.name for node in convolutions(model)}
        if self.graph_sha256 != structure_sha256(model) or names != set(self.convolutions):
            raise InputError(
                f"{source} holds the ranges of another graph (another version of torch, onnxsim or "
                f"microaunet): {remedy}"
            )


def load(path: Path) -> Ranges:
    """The content of a ranges file.

    Raises:
        InputError: missing, of a newer schema, or not what this module writes.
    """
    content = read_json(path, limit=4 << 20)
    if not isinstance(content, dict) or not isinstance(content.get("schema"), int):
        raise InputError(f"{path} holds no calibration ranges: calibrate on images with --calib DIR")
    if content["schema"] > SCHEMA:
        newer = f"{path} has schema {content['schema']}, this program reads {SCHEMA}"
        raise InputError(f"{newer}: upgrade microaunet")
    try:
        ranges, steps = _pairs(content["convolutions"]), _steps(content.get("equalisation", {}))
        found = Ranges(**{**content, "convolutions": ranges, "equalisation": steps})
        float(found.mask_agreement), int(found.images)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{path} holds no calibration ranges ({error}): calibrate with --calib DIR"
        ) from error
    return found


def _pairs(content: dict[str, Any]) -> dict[str, tuple[float, float]]:
    pairs = {name: (float(low), float(high)) for name, (low, high) in content.items()}
    for name, (low, high) in pairs.items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"{name} has the range {low} to {high}")
    return pairs


def _steps(content: dict[str, Any]) -> dict[str, list[int]]:
    steps = [step for channels in content.values() for step in channels]
    if any(not isinstance(step, int) or not 0 <= step <= MOST for step in steps):
        raise ValueError("an exponent of the equalisation is out of range")
    return content
