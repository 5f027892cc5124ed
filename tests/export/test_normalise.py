"""Normalisation folds into the first convolution where that is exact, and stays where it is not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from foreign_networks import Peeking, SmallUNet, lively
from torch import Tensor, nn

from microaunet_export.graph import GraphRunner, clean, export_graph
from microaunet_export.normalise import Normalisation, Normalised, fold
from microaunet_export.reference import Reference
from microaunet_runtime.errors import InputError
from microaunet_runtime.images import synthetic

SIZE = 64
IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
PLAIN = Normalisation()


class Unpadded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(x)
        return result


class NormalisesItself(SmallUNet):
    def forward(self, x: Tensor) -> Tensor:
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
        return super().forward((x - mean) / std)


def operators(model: onnx.ModelProto) -> list[str]:
    """From the frame to the first convolution."""
    names = [node.op_type for node in model.graph.node]
    return names[: names.index("Conv") + 1]


@pytest.mark.parametrize(
    ("network", "normalisation", "expected"),
    [
        (SmallUNet(), PLAIN, ["Cast", "Transpose", "Conv"]),
        (SmallUNet(), IMAGENET, ["Cast", "Transpose", "Add", "Conv"]),
        (Unpadded(), IMAGENET, ["Cast", "Transpose", "Conv"]),
        (NormalisesItself(), PLAIN, ["Cast", "Transpose", "Add", "Conv"]),
    ],
    ids=["scale", "padded", "unpadded", "its-own"],
)
def test_it_folds_where_it_is_exact(
    network: nn.Module, normalisation: Normalisation, expected: list[str]
) -> None:
    lively(network)
    model = export_graph(Normalised(network, normalisation), SIZE, SIZE, 0.5, 17)
    fold(model)
    model = clean(model, 17)
    assert operators(model) == expected
    frame = synthetic.frame(3, SIZE, SIZE)[0]
    frame[:, :4] = 255  # the border is where a wrong fold shows
    found = GraphRunner(model)(frame)["probability"][0, 0]
    np.testing.assert_allclose(found, Reference(network, normalisation)(frame)[0], atol=2e-5)


def test_it_stays_where_more_than_convolutions_read_the_frame() -> None:
    network = lively(Peeking())
    model = export_graph(Normalised(network, PLAIN), SIZE, SIZE, 0.5, 17)
    before = model.SerializeToString(deterministic=True)
    fold(model)
    assert model.SerializeToString(deterministic=True) == before
    frame = synthetic.frame(3, SIZE, SIZE)[0]
    found = GraphRunner(model)(frame)["probability"][0, 0]
    np.testing.assert_allclose(found, Reference(network)(frame)[0], atol=2e-5)


@pytest.mark.parametrize("std", [(0.0, 1.0, 1.0), (float("nan"), 1.0, 1.0), (-1.0, 1.0, 1.0)])
def test_no_deviation_is_refused(std: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="std above 0"):
        Normalisation(std=std)
