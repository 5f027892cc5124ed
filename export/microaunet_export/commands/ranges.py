"""``python -m microaunet_export.commands.ranges``: measure the calibration ranges that ship with weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from microaunet_runtime import console
from microaunet_runtime.console import DebugOption

from .. import calibrate
from ..forms import measure_ranges
from ..range_file import SUFFIX
from ..subject import of_weights


def run(
    weights: Annotated[str, typer.Option("--weights", help="Shipped name or .safetensors file.")],
    calib: Annotated[Path, typer.Option("--calib", help="Training images; with --list the data root.")],
    lists: Annotated[
        list[str] | None,
        typer.Option("--list", help="Committed list of training frames, e.g. kvasir-train; repeatable."),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Calibrate on images and write the ranges beside the weights, as NAME.ranges.json: numbers, no image.

    Example: python -m microaunet_export.commands.ranges --weights kvasir --calib kvasir-seg/train
    """
    torch.set_num_threads(1)
    subject = of_weights(weights)
    images = calibrate.find_listed(lists, calib) if lists else calibrate.find(calib)
    ranges = measure_ranges(subject, images, lambda line: console.out.print(line, markup=False))
    path = subject.path.with_suffix(SUFFIX)
    ranges.save(path)
    console.out.print(f"wrote {path}", markup=False)


app = console.command_app(run)

if __name__ == "__main__":
    app()
