"""``python -m microaunet_export.commands.ranges``: measure the calibration ranges that ship with weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from microaunet.checkpoint import load as load_checkpoint
from microaunet.checkpoint import locate
from microaunet.models.fuse import deploy
from microaunet_runtime import console
from microaunet_runtime.console import DebugOption

from .. import calibrate
from ..exporting import measure_ranges
from ..graph import export_graph
from ..range_file import SUFFIX


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
    checkpoint = load_checkpoint(weights)
    images = calibrate.find_listed(lists, calib) if lists else calibrate.find(calib)
    model = export_graph(deploy(checkpoint.model), *checkpoint.size, checkpoint.threshold, 17)
    ranges = measure_ranges(checkpoint, images, model, lambda line: console.out.print(line, markup=False))
    path = locate(weights).with_suffix(SUFFIX)
    ranges.save(path)
    console.out.print(f"wrote {path}", markup=False)


app = console.command_app(run)

if __name__ == "__main__":
    app()
