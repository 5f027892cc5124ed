"""A repeat is one of a shipped recipe with another seed, and nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.seeds import repeated, summary
from microaunet import checkpoint
from microaunet.models import create
from microaunet.training import recipe as recipes
from microaunet_runtime.errors import InputError


def trained(path: Path, recipe: recipes.Recipe) -> Path:
    card = {"size": recipe.size, "recipe": recipe.as_dict()}
    checkpoint.save(path, create(recipe.architecture), recipe.architecture, card)
    return path


@pytest.mark.parametrize("name", ["clinicdb", "general", "kvasir"])
def test_a_repeat_is_recognised(tmp_path: Path, name: str) -> None:
    recipe = dataclasses.replace(recipes.load(name), seed=7)
    assert repeated(trained(tmp_path / "weights.safetensors", recipe)) == (name, 7)


def test_another_recipe_is_no_repeat(tmp_path: Path) -> None:
    recipe = dataclasses.replace(recipes.load("clinicdb"), seed=7, epochs=10)
    with pytest.raises(InputError, match="repeats no shipped recipe"):
        repeated(trained(tmp_path / "weights.safetensors", recipe))


def test_the_spread_is_the_largest_difference() -> None:
    found = summary({"0": {"validation": 0.8}, "1": {"validation": 0.83}, "2": {"validation": 0.81}})
    assert found["spread"] == {"validation": 0.03}
    assert found["mean"] == {"validation": 0.8133}
