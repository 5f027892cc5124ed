"""One network at several input sizes: what it finds, and what it costs on a GPU and on a CPU.

    python -m benchmarks.sizes --data DATA --weights general

For each of the weights and sizes: dice_image and the AUC of presence on the validation lists of the weights'
recipe, the kernels that TensorRT is expected to make of the FP16 file, the estimated time of these on an Orin
Nano (:mod:`.roofline`: an estimate, not a measurement), and the time of the FP32 file in ONNX Runtime on one
thread, all sizes in turns. The weights are not trained again: a size that they were not trained at is judged
as `microaunet-export --size` would make it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from microaunet import checkpoint
from microaunet.data import lists
from microaunet.training.recipe import from_dict
from microaunet.training.validation import Validation
from microaunet_export.forms import make
from microaunet_export.subject import of_weights
from microaunet_runtime import files
from microaunet_runtime.console import DebugOption, command_app, out, progress
from microaunet_runtime.errors import InputError
from microaunet_runtime.images.synthetic import frame
from microaunet_runtime.inference.onnxruntime import OnnxRuntimeBackend
from microaunet_runtime.percentiles import summary

from .measuring.layers import layers
from .measuring.results import RESULTS
from .roofline import DEVICES, LIKELY, estimate

RESULT = RESULTS / "sizes.json"
COMMAND = "python -m benchmarks.sizes --data DATA"
SIZES = (256, 320, 352)
BOARD = DEVICES[0].name
LAUNCH_US = 3.0  # in a CUDA graph; assumed
ROUNDS = 100
WARM_UP = 5


@dataclass(frozen=True)
class Candidate:
    """Weights at a size, as their files will be, and how the FP32 one runs here."""

    weights: str
    size: int
    launches: int
    bound_us: float
    backend: OnnxRuntimeBackend


def sizes(
    data: Annotated[Path, typer.Option("--data", help="Holds the sets of the weights' lists.")],
    weights: Annotated[
        list[str] | None, typer.Option(help="Shipped names or files; general by default.")
    ] = None,
    size: Annotated[list[int] | None, typer.Option(help="Pixels per side; repeatable.")] = None,
    result: Annotated[
        Path, typer.Option("--json", help="Where the figures go; a .md is put beside.")
    ] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Compare input sizes of the same weights: validation, launches, estimated GPU time, CPU time.

    Example: python -m benchmarks.sizes --data DATA --weights general --size 256 --size 320
    """
    candidates = [candidate(name, side) for name in weights or ("general",) for side in size or SIZES]
    scores = [validated(each.weights, each.size, data) for each in candidates]
    rows = [
        {
            "size": each.size,
            **score,
            "launches": each.launches,
            "estimated_us": {"bound": each.bound_us, "likely": [factor * each.bound_us for factor in LIKELY]},
            "cpu_ms": cpu,
        }
        for each, score, cpu in zip(candidates, scores, timed(candidates), strict=True)
    ]
    files.write_json(result, {"command": COMMAND, "board": BOARD, "launch_us": LAUNCH_US, "rows": rows})
    text = table(rows)
    files.write_bytes(result.with_suffix(".md"), text.encode())
    out.print(text, markup=False)


def candidate(weights: str, size: int) -> Candidate:
    """The files of ``weights`` at ``size``.

    Raises:
        InputError: the weights cannot be used, or not at this size.
    """
    forms, _ = make(of_weights(weights, size=(size, size)), False, None, lambda line: None)
    figures = estimate(layers(forms["fp16"].model), "fp16", LAUNCH_US)
    model = forms["fp32"].model.SerializeToString()
    return Candidate(
        weights,
        size,
        figures["launches"],
        figures["devices"][BOARD]["bound_us"],
        OnnxRuntimeBackend(model, f"{weights} at {size}", "fp32", size, size, threads=1),
    )


def validated(weights: str, size: int, data: Path) -> dict[str, Any]:
    """What ``weights`` are, and their figures at ``size`` on the validation lists of their recipe.

    Raises:
        InputError: the card names no recipe, or the frames are not there.
    """
    loaded = checkpoint.load(weights)
    if "recipe" not in loaded.card:
        raise InputError(f"the card of {weights} names no recipe, whose validation frames are needed")
    recipe = from_dict(loaded.card["recipe"])
    polyps, _ = lists.resolve(recipe.validation, data)
    free, _ = lists.resolve_images(recipe.polyp_free_validation, data)
    scores = Validation(polyps, size, free).scores(loaded.model.eval())
    return {
        "weights": loaded.name,
        "sha256": loaded.sha256,
        "trained_at": max(side for _, side in recipe.resolutions),
        "dice_image": float(scores.dice.mean()),
        "presence_auc": scores.presence_auc,
    }


def timed(candidates: Sequence[Candidate]) -> list[dict[str, float]]:
    """Milliseconds of a frame of each, all in turns, so that a busy moment meets them all."""
    frames = [frame(0, each.size, each.size)[0][None] for each in candidates]
    times: list[list[float]] = [[] for _ in candidates]
    with progress() as bar:
        for _ in bar.track(range(WARM_UP + ROUNDS), description="timing in turns"):
            for index, each in enumerate(candidates):
                start = time.perf_counter()
                each.backend.infer(frames[index])
                times[index].append((time.perf_counter() - start) * 1e3)
    return [summary(row[WARM_UP:]) for row in times]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line per weights and size."""
    lines = [
        f"Made by `{COMMAND}`: the same weights at each size, on the validation lists of their recipe. The",
        f"time on an {BOARD} is an estimate from dense peaks, {LAUNCH_US:g} us a launch: no less than, and",
        f"{LIKELY[0]:g} to {LIKELY[1]:g} times that.",
        "",
        "| weights | size | trained at up to | dice_image | AUC of presence | launches, FP16 "
        "| estimated, FP16, ms | CPU, FP32, one thread, p50 / p95 ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        auc = "-" if row["presence_auc"] is None else f"{row['presence_auc']:.3f}"
        low, high = (value / 1e3 for value in row["estimated_us"]["likely"])
        lines.append(
            f"| {row['weights']} | {row['size']} | {row['trained_at']} | {row['dice_image']:.4f} | {auc} "
            f"| {row['launches']} | {row['estimated_us']['bound'] / 1e3:.3f}; {low:.2f} to {high:.2f} "
            f"| {row['cpu_ms']['p50']:.2f} / {row['cpu_ms']['p95']:.2f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    command_app(sizes)()
