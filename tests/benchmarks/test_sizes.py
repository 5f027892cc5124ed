"""Input sizes compared: a larger frame costs more, and weights without a recipe are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("microaunet_export.graph")
pytest.importorskip("lightning_fabric")

import torch

from benchmarks import sizes
from microaunet import checkpoint
from microaunet.models import create
from microaunet_runtime.errors import InputError


def test_a_larger_frame_costs_more_in_as_many_launches() -> None:
    small, large = (sizes.candidate("general", side) for side in (128, 512))
    assert small.launches == large.launches > 0
    assert small.bound_us < large.bound_us
    for row in sizes.timed([small, large]):
        assert 0 < row["p50"] <= row["p95"]


def test_weights_without_a_recipe_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = tmp_path / "own.safetensors"
    checkpoint.save(path, create("edge").eval(), "edge", {"size": 64})
    with pytest.raises(InputError, match="names no recipe"):
        sizes.validated(str(path), 64, tmp_path)


def test_the_table_calls_an_estimate_so() -> None:
    row = {
        "weights": "general",
        "size": 320,
        "trained_at": 320,
        "dice_image": 0.75,
        "presence_auc": None,
        "launches": 44,
        "estimated_us": {"bound": 150.0, "likely": [225.0, 450.0]},
        "cpu_ms": {"p50": 1.5, "p95": 2.0},
    }
    text = sizes.table([row])
    assert "estimate" in text
    assert "| general | 320 | 320 | 0.7500 | - | 44 | 0.150; 0.23 to 0.45 | 1.50 / 2.00 |" in text
