"""The compared networks have their published sizes and segment a frame of any allowed size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("microaunet_export.graph")

from benchmarks.networks.unet import UNet
from benchmarks.networks.unext import UNeXt, _shift
from benchmarks.networks.variants import VARIANTS
from microaunet.models import parameters
from microaunet.models.edge import EdgeMicroAUNet
from microaunet.models.fuse import deploy
from microaunet_export.graph import GraphRunner, export_graph, structure_sha256


@pytest.mark.parametrize(("network", "millions"), [(UNet, 7.77), (UNeXt, 1.47)])
def test_size_is_the_published_one(network: type[nn.Module], millions: float) -> None:
    assert round(sum(p.numel() for p in network().parameters()) / 1e6, 2) == millions


@pytest.mark.parametrize("network", [UNet, UNeXt])
def test_logits_have_the_frames_size(network: type[nn.Module]) -> None:
    with torch.inference_mode():
        logits = network().eval()(torch.rand(2, 3, 64, 96))
    assert logits.shape == (2, 1, 64, 96)


def test_unext_shifts_each_fifth_and_brings_in_zeros() -> None:
    x = torch.arange(1.0, 7.0).view(1, 1, 6, 1).expand(1, 5, 6, 2)
    shifted = _shift(x, 2)[0, :, :, 0]
    assert shifted[0].tolist() == [3, 4, 5, 6, 0, 0]
    assert shifted[2].tolist() == [1, 2, 3, 4, 5, 6]
    assert shifted[4].tolist() == [0, 0, 1, 2, 3, 4]


@pytest.fixture(scope="module")
def student_structure() -> str:
    return structure_sha256(export_graph(deploy(EdgeMicroAUNet()), 64, 96, 0.5, 17))


@pytest.mark.parametrize("name", list(VARIANTS))
def test_a_variant_differs_from_the_student_and_is_exported_right(name: str, student_structure: str) -> None:
    torch.manual_seed(0)
    network = VARIANTS[name]().eval()
    assert parameters(network) <= 24_900
    graph = export_graph(deploy(network), 64, 96, 0.5, 17)
    assert structure_sha256(graph) != student_structure
    frame = torch.randint(0, 256, (64, 96, 3), dtype=torch.uint8)
    with torch.inference_mode():
        probability = torch.sigmoid(network(frame.permute(2, 0, 1)[None] / 255)).numpy()
    assert np.abs(GraphRunner(graph)(frame.numpy())["probability"] - probability).max() < 1e-4
