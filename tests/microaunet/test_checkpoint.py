"""Weights files: written whole, read back equal, and everything else refused with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from microaunet import checkpoint
from microaunet.models import create, parameters
from microaunet_runtime.errors import InputError


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "mine.safetensors"
    checkpoint.save(path, create("edge"), "edge", {"threshold": 0.4})
    return path


def test_what_was_saved_is_loaded(weights: Path) -> None:
    loaded = checkpoint.load(weights)
    torch.manual_seed(0)
    expected = create("edge").state_dict()
    assert all(torch.equal(expected[key], value) for key, value in loaded.model.state_dict().items())
    assert loaded.name == "mine"
    assert loaded.threshold == 0.4
    assert not loaded.model.training


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "pickled.pt"
    torch.save({"anything": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="pickled checkpoints are not loaded"):
        checkpoint.load(path)


def test_a_truncated_file_is_refused(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="not a complete safetensors file"):
        checkpoint.load(weights)


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    checkpoint.save(path, create("paper"), "edge", {})
    with pytest.raises(InputError, match="does not fit 'edge'"):
        checkpoint.load(path)


def test_nan_is_refused_by_the_name_of_the_tensor(tmp_path: Path) -> None:
    model = create("edge")
    model.head.weight.data[0] = float("nan")
    path = tmp_path / "nan.safetensors"
    checkpoint.save(path, model, "edge", {})
    with pytest.raises(InputError, match=r"NaN or infinity in head\.weight"):
        checkpoint.load(path)


def test_a_file_without_an_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "anonymous.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match="does not say its architecture"):
        checkpoint.load(path)


def test_missing_weights_name_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no weights"):
        checkpoint.load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("name", checkpoint.shipped())
def test_shipped_weights_load_and_say_where_they_come_from(name: str) -> None:
    loaded = checkpoint.load(name)
    assert {"recipe", "figures", "licence", "data", "parameters", "macs"} <= set(loaded.card)
    assert loaded.card["parameters"] == parameters(loaded.model)


@pytest.mark.parametrize("name", ["clinicdb", "general", "joint", "kvasir"])
def test_students_keep_to_the_budget_and_know_when_to_speak_up_on_video(name: str) -> None:
    loaded = checkpoint.load(name)
    assert loaded.card["parameters"] <= 24_900
    assert loaded.stabilised_presence > 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", -1),
        ("threshold", "0.5"),
        ("threshold", True),
        ("presence", 1),
        ("presence", None),
        ("stabilised_presence", -0.1),
        ("size", 256.0),
        ("size", 10**30),
        ("data", []),
        ("data", {"lists": {"train": "kvasir-train"}}),
        ("figures", "good"),
    ],
)
def test_a_card_that_says_what_cannot_be_is_refused_by_the_field(
    weights: Path, field: str, value: object
) -> None:
    card = weights.with_suffix(".json")
    card.write_text(json.dumps({"threshold": 0.4, field: value}))
    with pytest.raises(InputError, match=rf"mine\.json: {field}.*expected|mine\.json: data\.lists must"):
        checkpoint.load(weights)


@pytest.mark.parametrize("text", ["[]", '{"threshold": NaN}', "{", "[" * 100_000])
def test_a_file_that_is_no_card_is_refused(weights: Path, text: str) -> None:
    weights.with_suffix(".json").write_text(text)
    with pytest.raises(InputError, match=r"mine\.json"):
        checkpoint.load(weights)
