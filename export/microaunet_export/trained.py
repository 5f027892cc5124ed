"""The ranges that weights were trained with, when INT8's rounding was simulated in their training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnx import ModelProto

from microaunet.models.fuse import INPUT_SCALE
from microaunet_runtime.errors import InputError

from .calibrate import Pair
from .graph import INPUT
from .quantize import convolutions, find_places


@dataclass(frozen=True)
class Trained:
    """What weights were trained with.

    Attributes:
        ranges: by convolution of a graph; 0 to 0 for what is not quantised.
        in_float: convolutions that stayed in float, where the graph's shape would have them in INT8.
    """

    ranges: dict[str, Pair]
    in_float: list[str]


def trained_ranges(int8: Any, model: ModelProto) -> Trained | None:
    """What the card says for the convolutions of ``model``; None when it says nothing.

    Args:
        int8: of the card beside the weights: {"ranges": {path of a convolution: [lowest, highest]},
            "in_float": [path, ...]}, or None.
        model: the FP32 graph at opset 17, from :func:`~.rewrite.for_gpu`.

    Raises:
        InputError: the card lacks the range of a convolution that is quantised, or holds no numbers.
    """
    if int8 is None:
        return None
    makers = {name: node for node in model.graph.node for name in node.output}
    found = dict.fromkeys((node.name for node in convolutions(model)), (0.0, 0.0))
    kept = int8.get("in_float", []) if isinstance(int8, dict) else []
    in_float = [
        name
        for name in find_places(model).convolutions
        if isinstance(kept, list) and module_path(name) in kept
    ]
    for name, tensor in find_places(model, in_float).convolutions.items():
        try:
            low, high = map(float, int8["ranges"][module_path(name)])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"the card's INT8 ranges do not fit the network ({module_path(name)}): train it again with "
                "the recipe's int8, or remove int8 from the card"
            ) from error
        while tensor in makers and makers[tensor].op_type in ("Cast", "Transpose"):
            tensor = makers[tensor].input[0]
        scale = 1 / INPUT_SCALE if tensor == INPUT else 1  # the deployed graph takes 0..255
        found[name] = (low * scale, high * scale)
    return Trained(found, in_float)


def module_path(node: str) -> str:
    """The path of the module that a node comes from, as PyTorch names it.

    The exporter writes every module that is called with its own name, and a list's entry with the list's:
    ``stages.0/stages.0.1/depthwise/depthwise.0/Conv`` is ``stages.0.1.depthwise.0``.
    """
    path: list[str] = []
    for part in node.split("/")[:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)
