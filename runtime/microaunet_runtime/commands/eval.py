"""``microaunet-eval``: score weights or a bundle on images with masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..bundle import Bundle
from ..bundle.manifest import PRECISIONS
from ..console import (
    BANNER,
    DebugOption,
    JsonOption,
    ThreadsOption,
    TrustOption,
    command_app,
    out,
    progress,
    run_app,
)
from ..errors import InputError
from ..evaluation.dataset import find_pairs, resolve_set
from ..evaluation.evaluate import SIZES, evaluate
from ..evaluation.metrics import FOUND, LARGE_FROM, SMALL_BELOW
from ..evaluation.worst import worst_picture
from ..files import write_json
from ..inference import registry
from ..inference.pytorch import open_reference
from ..inference.session import Session, open_session


def run(
    data: Annotated[
        Path, typer.Option("--data", help="A set (images/ and masks/), or a root that holds train/ and val/.")
    ],
    weights: Annotated[
        str, typer.Option("--weights", help="Shipped weights by name, or a .safetensors file.")
    ] = "",
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Folder written by microaunet-export.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help=f"Of the bundle: {', '.join(PRECISIONS)}. [default: fp32]")
    ] = "",
    backend: Annotated[
        str, typer.Option("--backend", help=f"Of the bundle: auto, {', '.join(registry.NAMES)}.")
    ] = "auto",
    split: Annotated[str, typer.Option("--split", help="The set to take when --data is a root.")] = "val",
    pranet: Annotated[bool, typer.Option("--pranet", help="Also the measures of PraNet's toolbox.")] = False,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Replaces the one of the weights or bundle.")
    ] = None,
    out_folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for per_image.csv, worst.png and summary.json."),
    ] = None,
    threads: ThreadsOption = 1,
    trust: TrustOption = False,
    json_file: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Score weights (PyTorch) or a bundle (without torch) on images with masks.

    Every network is scored by the same code: the probability is resized to the mask's own size, then cut.

    Example: microaunet-eval --bundle bundle --precision int8 --data kvasir-seg --out scores
    """
    if bool(weights) == (bundle is not None):
        raise InputError("give exactly one of --weights and --bundle")
    if weights and (precision or backend != "auto"):
        raise InputError(
            "--precision and --backend choose among a bundle's files: weights run on PyTorch in FP32"
        )
    out.print(BANNER)
    folder = resolve_set(data, split)
    pairs = find_pairs(folder)
    opened = Bundle(bundle, trust=trust) if bundle else None
    with _session(weights, opened, precision, backend, threshold, threads) as session, progress() as bar:
        task = bar.add_task(f"evaluating {folder.name}", total=len(pairs))
        evaluation = evaluate(
            session.probability,
            pairs,
            session.threshold,
            source=session.note,
            pranet=pranet,
            advance=lambda: bar.advance(task),
        )
        model = {
            "weights" if weights else "bundle": weights or str(bundle),
            "backend": session.backend.name,
            "precision": session.backend.precision,
        }
        results = {"model": model, "data": str(folder), **evaluation.summary}
        _print(results)  # before anything is written: a full disk must not cost the figures
        if out_folder is not None:
            evaluation.write_csv(out_folder / "per_image.csv")
            worst_picture(evaluation, session.probability, pairs, out_folder / "worst.png")
            write_json(out_folder / "summary.json", results)
            out.print(f"written: {out_folder}", markup=False)
    if json_file is not None:
        write_json(json_file, results)


def _session(
    weights: str, bundle: Bundle | None, precision: str, backend: str, threshold: float | None, threads: int
) -> Session:
    if bundle is None:
        return open_reference(weights, threshold=threshold, threads=threads)
    return open_session(
        bundle, backend=backend, precision=precision or None, threshold=threshold, threads=threads
    )


_NAMES = {
    "dice_image": "Dice, mean of images",
    "miou": "IoU, mean of images",
    "precision": "precision",
    "recall": "recall",
    "hd95": "HD95, pixels",
}
_PRANET_NAMES = {
    "dice_pranet": "PraNet Dice",
    "iou_pranet": "PraNet IoU",
    "weighted_f": "weighted F-measure",
    "s_measure": "S-measure",
    "e_measure": "E-measure",
    "mae": "mean absolute error",
}


def _print(results: dict[str, Any]) -> None:
    table = Table(
        "measure", "value", "95 % interval", title=f"{results['images']} images of {results['data']}"
    )
    for key, name in _NAMES.items():
        _add(table, name, results[key])
    table.add_row("Dice, all pixels pooled", f"{results['dice_pooled']:.4f}", "")
    shares = (f"under {SMALL_BELOW:.0%}", f"{SMALL_BELOW:.0%} to {LARGE_FROM:.0%}", f"from {LARGE_FROM:.0%}")
    for size, share in zip(SIZES, shares, strict=True):
        measure = results["dice_by_size"][size]
        _add(table, f"Dice, {measure['count']} {size} ({share} of the frame)", measure)
    polyps = results["polyp_sensitivity"]
    _add(table, f"polyps found ({FOUND:.0%} of each), {polyps['found']} of {polyps['count']}", polyps)
    if free := results.get("false_positive_pixels"):
        _add(table, f"false-positive pixels, {free['count']} polyp-free frames", free)
    for key, name in _PRANET_NAMES.items():
        if key in results.get("pranet", {}):
            _add(table, name, results["pranet"][key])
    out.print(table)
    out.print(f"{results['source']}; threshold {results['threshold']:g}", markup=False)


def _add(table: Table, name: str, measure: dict[str, Any]) -> None:
    if measure["mean"] is None:
        table.add_row(name, "-", "")
        return
    digits = 4 if abs(measure["mean"]) <= 1 else 1
    table.add_row(
        name, f"{measure['mean']:.{digits}f}", f"{measure['low']:.{digits}f} - {measure['high']:.{digits}f}"
    )


app = command_app(run)


def main() -> None:
    """Entry point."""
    run_app(app)
