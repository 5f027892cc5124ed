"""``microaunet-train``: frames and a recipe in, weights with a card out."""

from __future__ import annotations

import shlex
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from microaunet_runtime import console, files
from microaunet_runtime.console import DebugOption, JsonOption
from microaunet_runtime.errors import InputError
from microaunet_runtime.optional import require


def train(
    data: Annotated[
        Path,
        typer.Option(
            help="Holds kvasir-seg/ and cvc-clinicdb/, or images/ and masks/ (a tenth validates then)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    recipe: Annotated[str, typer.Option(help="A shipped recipe's name or a YAML file.")] = "kvasir",
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="Change a field: key=value; may be given several times.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[
        int, typer.Option(min=1, help="Processes, each with a GPU or a share of the CPU.")
    ] = 1,
    precision: Annotated[
        str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed; else the recipe's.")
    ] = None,
    threads: Annotated[
        int, typer.Option(min=1, max=console.MOST_THREADS, help="CPU threads per process.")
    ] = 1,
    cache: Annotated[
        Path | None, typer.Option(help="Where decoded frames are kept; else ~/.cache/microaunet.")
    ] = None,
    json_path: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Train a network on image-mask pairs.

    Writes weights.safetensors with a card, curves.csv, curves.png, recipe.yaml, and last.ckpt to resume from.

    Example: microaunet-train --recipe kvasir --data data --out runs/kvasir --set epochs=100
    """
    require("lightning_fabric", "install microaunet[train]")
    from ..training import run

    # Advice about settings that were chosen on purpose.
    warnings.filterwarnings("ignore", module="lightning_fabric")
    warnings.filterwarnings("ignore", message=".*smallest subnormal", module="numpy")
    changes = list(changes or [])
    if precision:
        changes.append(f"precision={precision}")
    if not resume and (out / "last.ckpt").exists():
        raise InputError(f"{out} holds a run already: continue it with --resume or choose another --out")
    if not resume and (out / "weights.safetensors").exists():
        raise InputError(f"{out} holds weights already, which would be replaced: choose another --out")
    try:
        results = run.run(
            run.TrainingRequest(recipe, changes, data, out, resume, device, devices, threads, cache),
            print_row,
        )
    except KeyboardInterrupt:
        if (out / "last.ckpt").exists():
            same = [argument for argument in sys.argv[1:] if argument != "--resume"]
            again = shlex.join(["microaunet-train", *same, "--resume"])
            console.err.print(f"the last complete epoch is kept; continue with:\n  {again}", markup=False)
        raise
    if results is None:  # not the first of several processes
        return
    console.out.print(f"weights: {results['weights']}", markup=False)
    if results["dice_image"]:
        mean, low, high = (results["dice_image"][key] for key in ("mean", "low", "high"))
        console.out.print(
            f"validation dice_image {mean:.4f} (95 % interval {low:.4f} to {high:.4f}), "
            f"epoch {results['epoch']}"
        )
    console.out.print(f"{results['images_per_second']:.0f} images per second")
    if json_path:
        files.write_json(json_path, results)


def print_row(row: dict[str, Any]) -> None:
    """A line per validated epoch, so that a log shows how the run goes."""
    if "dice_image" in row:
        console.out.print(
            f"epoch {row['epoch']}: loss {row['loss']:.4f}, validation dice_image {row['dice_image']:.4f}, "
            + (f"presence AUC {row['presence_auc']:.4f}, " if "presence_auc" in row else "")
            + (f"INT8's agreement with float {row['agreement']:.4f}, " if "agreement" in row else "")
            + f"{row['size']} pixels, {row['seconds']:.1f} s"
        )


app = console.command_app(train)


def main() -> None:
    """Entry point of ``microaunet-train``."""
    app()


if __name__ == "__main__":
    main()
