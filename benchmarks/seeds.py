"""How far a recipe's figure moves with the seed: shipped weights beside repeats of their recipe.

    microaunet-train --recipe kvasir --data DATA --out runs/kvasir-seed1 --set seed=1
    python -m benchmarks.seeds --data DATA --weights runs/kvasir-seed1/weights.safetensors

Each run must be one of a shipped recipe in which nothing but the seed was changed. What is reported on the
sets of the recipe's weights is the mean over seeds, and the spread: the largest difference between two seeds.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from microaunet import checkpoint
from microaunet.training import recipe as recipes
from microaunet_runtime import files
from microaunet_runtime.console import DebugOption, command_app, out
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.evaluate import evaluate
from microaunet_runtime.inference.pytorch import open_reference

from .measuring.reported import reported, reported_pairs
from .measuring.results import RESULTS

RESULT = RESULTS / "seeds.json"


def seeds(
    data: Annotated[Path, typer.Option("--data", help="Holds kvasir-seg/ and cvc-clinicdb/.")],
    weights: Annotated[list[Path], typer.Option("--weights", help="Of a run; may be given several times.")],
    result: Annotated[
        Path, typer.Option("--json", help="Where the figures go; a .md is put beside.")
    ] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Measure repeats of shipped recipes and put them beside the shipped weights.

    Example: python -m benchmarks.seeds --data DATA --weights runs/kvasir-seed1/weights.safetensors
    """
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for path in weights:
        name, seed = repeated(path)
        shipped = checkpoint.load(name).card
        of_recipe = figures.setdefault(
            name, {str(shipped["recipe"]["seed"]): dice(shipped["figures"], reported(name))}
        )
        if str(seed) in of_recipe:
            raise InputError(f"{path} has seed {seed} of {name}, which is there already: choose another")
        of_recipe[str(seed)] = measure(path, name, data)
        out.print(name, f"seed {seed}:", of_recipe[str(seed)], markup=False)
    found = {name: summary(of_recipe) for name, of_recipe in figures.items()}
    files.write_json(result, found)
    text = table(found)
    files.write_bytes(result.with_suffix(".md"), text.encode())
    out.print(text, markup=False)


def repeated(weights: Path) -> tuple[str, int]:
    """The shipped recipe that a run repeats, and its seed.

    Raises:
        InputError: no weights or card, or more than the seed differs from every shipped recipe.
    """
    own = recipes.from_dict(checkpoint.load(str(weights)).card.get("recipe", {}))
    for name in recipes.names():
        if dataclasses.replace(recipes.load(name), seed=own.seed) == own:
            return name, own.seed
    raise InputError(f"{weights} repeats no shipped recipe: train with --recipe NAME --set seed=N alone")


def measure(weights: Path, name: str, data: Path) -> dict[str, float]:
    """Mean dice_image of a run on its validation frames and on the sets of ``name``."""
    figures: dict[str, Any] = {"validation": checkpoint.load(str(weights)).card["figures"]["validation"]}
    with open_reference(str(weights)) as session:
        for figure, source in reported(name).items():
            pairs = reported_pairs(source, data)
            figures[figure] = evaluate(session.probability, pairs, session.threshold).summary
    return dice(figures, reported(name))


def dice(figures: dict[str, Any], sets: dict[str, str]) -> dict[str, float]:
    """The mean dice_image of validation and of ``sets``, from a card's figures."""
    return {name: round(figures[name]["dice_image"]["mean"], 4) for name in ("validation", *sets)}


def summary(of_recipe: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The figures of each seed, with their mean and spread per set."""
    sets = next(iter(of_recipe.values()))
    values = {name: [of_seed[name] for of_seed in of_recipe.values()] for name in sets}
    return {
        "seeds": of_recipe,
        "mean": {name: round(sum(each) / len(each), 4) for name, each in values.items()},
        "spread": {name: round(max(each) - min(each), 4) for name, each in values.items()},
    }


def table(figures: dict[str, dict[str, Any]]) -> str:
    """Markdown: a line per recipe and set."""
    lines = [
        "Made by `python -m benchmarks.seeds`: dice_image of whole repeats; the first seed ships.",
        "",
        "| recipe | set | each seed | mean | spread |",
        "|---|---|---|---|---|",
    ]
    for recipe, found in figures.items():
        for name, mean in found["mean"].items():
            each = ", ".join(f"{of_seed[name]:.4f}" for of_seed in found["seeds"].values())
            lines.append(f"| {recipe} | {name} | {each} | {mean:.4f} | {found['spread'][name]:.4f} |")
    return "\n".join(lines) + "\n"


app = command_app(seeds)

if __name__ == "__main__":
    app()
