"""``python -m microaunet_export.commands.ranges``: measure the calibration ranges that ship with weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from microaunet_runtime import console
from microaunet_runtime.console import DebugOption
from microaunet_runtime.errors import InputError

from .. import calibrate
from ..forms import measure_ranges
from ..range_file import SUFFIX
from ..subject import of_weights


def run(
    weights: Annotated[str, typer.Option("--weights", help="Shipped name or .safetensors file.")],
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Data root: calibrates on the lists that the weights were trained on."),
    ] = None,
    calib: Annotated[Path | None, typer.Option("--calib", help="Or training images of your own.")] = None,
    debug: DebugOption = False,
) -> None:
    """Calibrate on images and write the ranges beside the weights, as NAME.ranges.json: numbers, no image.

    Example: python -m microaunet_export.commands.ranges --weights general --data data
    """
    if (data is None) == (calib is None):
        raise InputError(
            "give --data ROOT, or --calib DIR for weights that were trained on images of your own"
        )
    torch.set_num_threads(1)
    subject = of_weights(weights)
    images = calibrate.find_listed(subject.trained_on, data) if data else calibrate.find(Path(calib or ""))
    ranges = measure_ranges(subject, images, lambda line: console.out.print(line, markup=False))
    path = subject.path.with_suffix(SUFFIX)
    ranges.save(path)
    console.out.print(f"wrote {path}", markup=False)


app = console.command_app(run)

if __name__ == "__main__":
    app()
