"""Recipes: read back as written, and refused by the name of the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from microaunet.data import lists
from microaunet.models import create
from microaunet.training import recipe as recipes
from microaunet_runtime.errors import InputError


@pytest.mark.parametrize("name", recipes.names())
def test_shipped_recipes_name_networks_and_lists_that_exist(name: str) -> None:
    recipe = recipes.load(name)
    create(recipe.architecture)
    assert set(recipe.train + recipe.validation) <= set(lists.names())


def test_a_written_recipe_reads_back_the_same(tmp_path: Path) -> None:
    changes = ["epochs=7", "loss.dice=2", "learning_rate=3e-3", "resolutions=[[0, 64], [0.5, 96]]"]
    recipe = recipes.load("kvasir", [*changes, "distillation.teachers=[a.safetensors]"])
    assert (recipe.epochs, recipe.loss.dice, recipe.learning_rate) == (7, 2.0, 3e-3)
    assert recipe.distillation is not None
    assert recipe.distillation.teachers == ("a.safetensors",)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipes.dump(recipe))
    assert recipes.load(str(path)) == recipe


def test_the_resolution_rises_at_the_stated_shares_of_the_epochs() -> None:
    recipe = recipes.load("kvasir", ["epochs=10", "resolutions=[[0, 64], [0.5, 96], [0.8, 128]]"])
    assert [recipe.size_at(epoch) for epoch in (0, 4, 5, 7, 8, 9)] == [64, 64, 96, 96, 128, 128]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("epoch=3", "epoch"),
        ("loss.mse=1", "mse"),
        ("epochs=many", "epochs"),
        ("epochs=0", "epochs"),
        ("epochs=1.5", "epochs"),
        ("train=kvasir-train", "train"),
        ("precision=64", "precision"),
        ("resolutions=[[0.5, 64]]", "resolutions"),
        ("resolutions=[[0.0, 60]]", "multiples of 32"),
        ("distillation={temperature: 2}", "teachers"),
        ("loss=3", "loss"),
        ("learning_rate=.nan", "learning_rate is nan"),
        ("gradient_clip=-1", "gradient_clip is -1"),
        ("seed=-1", "seed"),
        ("weight_decay=-1", "weight_decay"),
        ("stored_size=1", "stored_size"),
        ("augmentation.scale_min=0", "augmentation: scale_min"),
        ("augmentation.scale_min=2", "more than scale_max"),
        ("augmentation.border_share=1.5", "border_share is 1.5, expected 0 to 1"),
        ("distillation.embedding=0", "embedding"),
        ("distillation.temperature=0", "temperature"),
        ("distillation.hand_over=[0.9, 0.1]", "hand_over"),
        ("loss.dice=-1", "loss: dice"),
        ("epochs", "key=value"),
        ("epochs=[", "YAML"),
    ],
)
def test_a_wrong_field_is_refused_by_name(change: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        recipes.load("kvasir", [change])


def test_a_file_that_is_no_text_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not text"):
        recipes.load(str(tmp_path / "recipe.yaml"))


def test_a_recipe_without_an_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("train: [kvasir-train]\nvalidation: []\n")
    with pytest.raises(InputError, match="missing architecture"):
        recipes.load(str(path))


def test_an_unknown_recipe_names_those_that_ship() -> None:
    with pytest.raises(InputError, match="kvasir"):
        recipes.load("nosuch")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "aliases are not allowed"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested more than 8 deep"),
        ("epochs: " + "9" * 5000, "cannot be read"),
        ("seed: 2020-13-45", "cannot be read"),
        ("a: b\n" * 20_000, "longer than 64 KiB"),
        ("1: 2\nsize: 256\nx: 3", "no field"),
        ("[1, 2]: 3", "not valid YAML|expected fields"),
    ],
)
def test_yaml_made_to_exhaust_or_confuse_is_one_sentence(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        recipes.load(str(path))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("value", ["1e999", ".inf", "-.inf", ".nan", "9" * 400])
def test_a_number_without_an_end_is_refused(value: str) -> None:
    for name in ("learning_rate", "epochs", "loss.dice"):
        with pytest.raises(InputError, match=name.rpartition(".")[2]):
            recipes.load("kvasir", [f"{name}={value}"])
