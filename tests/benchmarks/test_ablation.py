"""The ablation: runs are not repeated, the table compares with its first row, teachers are measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("microaunet_export.graph")
pytest.importorskip("lightning_fabric")

from benchmarks import ablation
from benchmarks.ablation import DESIGN, Study, as_shipped_from, distil, table
from benchmarks.networks import variants
from microaunet.training import recipe as recipes
from microaunet_runtime import files
from microaunet_runtime.images.synthetic import write_set


def test_every_row_of_every_study_is_a_recipe() -> None:
    variants.register()
    for changes in DESIGN.values():
        assert recipes.load("kvasir", [*ablation.SHORT, *changes]).distillation is None
    loaded = recipes.load(
        "kvasir", [*ablation.SHORT, distil("a", "b", flips=True), "distillation.features=0"]
    )
    assert loaded.distillation is not None
    assert loaded.distillation.teachers == ("a", "b")
    assert loaded.distillation.flips
    half = recipes.load("kvasir", [*ablation.HALF, as_shipped_from("a"), "distillation.preference=0"])
    shipped = recipes.load("kvasir").distillation
    assert shipped is not None
    assert half.distillation == dataclasses.replace(shipped, teachers=("a",), preference=0)
    assert half.epochs * 2 == recipes.load("kvasir").epochs


def test_the_table_gives_mean_and_spread_beside_the_control() -> None:
    study = Study("design", {"edge": (), "GELU": ("architecture=edge-gelu",), "later": ()}, "Note.")
    variants.register()
    figures = {("edge", 0): 0.5, ("edge", 1): 0.6, ("GELU", 0): 0.7, ("GELU", 1): 0.7}
    log = [{"row": row, "seed": seed, "dice_image": dice} for (row, seed), dice in figures.items()]
    text = table(study, log, {"edge": {"p50": 1.5}})
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("|")}
    assert "| 2 | 0.5500 | 0.0707 | +0.0000 | 24,144 | 18.2 | 1.50 |" in rows["edge"]
    assert "| 2 | 0.7000 | 0.0000 | +0.1500 |" in rows["GELU"]
    assert rows["GELU"].endswith("| - |")
    assert "later" not in rows


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_set(tmp_path / "set", 20, seed=1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = [
        "distillation=null",
        "epochs=1",
        "batch=6",
        "size=64",
        "stored_size=64",
        "resolutions=[[0.0, 64]]",
    ]
    first = ablation._trained(tmp_path / "set", tmp_path / "runs", settings)
    cards = list((tmp_path / "runs").glob("*/weights.json"))
    assert len(cards) == 1
    card = files.read_json(cards[0])
    card["figures"]["validation"]["dice_image"]["mean"] = first + 0.25
    files.write_json(cards[0], card)
    assert ablation._trained(tmp_path / "set", tmp_path / "runs", settings) == pytest.approx(first + 0.25)
    ablation._trained(tmp_path / "set", tmp_path / "runs", [*settings, "seed=1"])
    assert len(list((tmp_path / "runs").glob("*/weights.json"))) == 2
