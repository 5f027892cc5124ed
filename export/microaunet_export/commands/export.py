"""``microaunet-export``: a checkpoint becomes a verified bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from microaunet_runtime import console, files
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import DebugOption, JsonOption, ThreadsOption
from microaunet_runtime.errors import GateError, InputError
from microaunet_runtime.percentiles import percentile

from .. import batching, deepstream, triton, zoo
from ..exporting import ExportOutcome, ExportRequest, check_target, export
from ..host_engines import build_engines, choose_builder
from ..html_report import content, write_real_report, write_report
from ..normalise import Normalisation
from ..verify import Gates

GATES = Gates()
LEAST, MOST = 32, 4096  # pixels, as in a manifest


def list_weights(wanted: bool) -> None:
    """Print the shipped weights with their figures and end, when ``wanted``."""
    if not wanted:
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("weights", no_wrap=True)
    table.add_column("network", no_wrap=True)
    for heading in ("pixels", "parameters", "M MACs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("dice_image, mean (from the cards)")
    for entry in zoo.entries():
        dice = ", ".join(f"{name} {value:.3f}" for name, value in entry.dice.items())
        facts = (f"{entry.size}", f"{entry.parameters:,}", f"{entry.macs / 1e6:.1f}")
        table.add_row(entry.name, entry.architecture, *facts, dice)
    console.out.print(table)
    raise typer.Exit


def run(
    out: Annotated[
        Path, typer.Option("--out", help="Bundle folder to write; an older bundle there is replaced.")
    ],
    weights: Annotated[
        str | None, typer.Option("--weights", help="Shipped name (default: general) or .safetensors file.")
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            "--network",
            help="The network of --weights: package.module:factory, or a registered name. Its code is run.",
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(
            "--onnx", help="An ONNX file, float (1, 3, H, W) to logits (1, 1, H, W), not --weights."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", help="Pixels of the frame: N or HEIGHTxWIDTH; default: the weights'."),
    ] = None,
    mean: Annotated[
        str | None, typer.Option("--mean", help="Of --network or --onnx, in 0..1: one number, or R,G,B.")
    ] = None,
    std: Annotated[
        str | None,
        typer.Option("--std", help="Also of --network or --onnx; frames become (x / 255 - mean) / std."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Write the INT8 files too.")] = False,
    calib: Annotated[
        Path | None,
        typer.Option(
            "--calib", help="Training images for INT8; default: the ranges shipped with the weights."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Set (images/, masks/) or root with val/, to compare Dice too."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", help="Folder for a report with pictures of --data; real frames stay out of --out."
        ),
    ] = None,
    with_deepstream: Annotated[
        bool,
        typer.Option(
            "--deepstream", help="Add a folder with graph and configuration for DeepStream's nvinfer."
        ),
    ] = False,
    triton_folder: Annotated[
        Path | None,
        typer.Option("--triton", help="Folder for model repositories of Triton, for several frames at once."),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            "--batch",
            metavar="N|dynamic",
            help="Add each file for N frames at once, or for any number, for servers; see docs/export.md.",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Of the mask; default: the weights'.")
    ] = None,
    fp32_max_difference: Annotated[
        float, typer.Option(help="Gate: FP32's greatest difference of a probability.")
    ] = GATES.fp32_max_difference,
    fp16_agreement: Annotated[
        float, typer.Option(help="Gate: FP16's mean mask agreement.")
    ] = GATES.fp16_agreement,
    fp16_presence_difference: Annotated[
        float, typer.Option(help="Gate: FP16's greatest difference of a presence.")
    ] = GATES.fp16_presence_difference,
    int8_agreement: Annotated[
        float, typer.Option(help="Gate: INT8's mean mask agreement.")
    ] = GATES.int8_agreement,
    int8_dice_change: Annotated[
        float, typer.Option(help="Gate: INT8's mean change of dice_image, either way (with --data).")
    ] = GATES.int8_dice_change,
    int8_presence_difference: Annotated[
        float, typer.Option(help="Gate: INT8's greatest difference of a presence.")
    ] = GATES.int8_presence_difference,
    threads: ThreadsOption = 1,
    json: JsonOption = None,
    debug: DebugOption = False,
    zoo_wanted: Annotated[
        bool,
        typer.Option(
            "--list-weights", callback=list_weights, is_eager=True, help="Print the shipped weights and end."
        ),
    ] = False,
) -> None:
    """Export weights to ONNX (FP32, FP16 and with --int8 both forms of INT8) and verify every file.

    Each file is compared with the PyTorch network, or with the file of --onnx, on the same frames. When a
    gate fails, the bundle is still written, so that the cause can be examined, but it is marked as failed
    in its manifest and report, and the exit code is 3.

    Example: microaunet-export --weights general --int8 --out bundle
    """
    check_target(out)
    if triton_folder:
        triton.check_target(triton_folder)
        if triton_folder.resolve().is_relative_to(out.resolve()):
            raise InputError(f"--triton {triton_folder} lies inside --out: give it a folder of its own")
    if calib and not int8:
        raise InputError("--calib is for INT8: add --int8, or leave it out")
    if report and not data:
        raise InputError("--report shows frames of --data: add --data, or read report.html in the bundle")
    if report and report.resolve().is_relative_to(out.resolve()):
        raise InputError(f"--report {report} lies inside --out: real frames never enter a bundle")
    if onnx and (weights or network):
        raise InputError("--onnx holds its weights itself: leave out --weights and --network")
    if network and not weights:
        raise InputError(f"--network {network} needs --weights FILE, a .safetensors file with its weights")
    normalisation = None
    if mean or std:
        normalisation = Normalisation(_channels("--mean", mean or "0"), _channels("--std", std or "1"))
    gates = Gates(
        fp32_max_difference=fp32_max_difference,
        fp16_agreement=fp16_agreement,
        fp16_presence_difference=fp16_presence_difference,
        int8_agreement=int8_agreement,
        int8_dice_change=int8_dice_change,
        int8_presence_difference=int8_presence_difference,
    )
    request = ExportRequest(
        weights or "general",
        network,
        onnx,
        normalisation,
        _size(size) if size else None,
        int8,
        calib,
        data,
        threshold,
        threads,
        gates,
        batching.parse(frames) if frames else None,
    )
    choose_builder()
    with files.replacing_folder(out) as folder:
        outcome = export(request, folder, _say)
        facts = content(outcome, gates, threads)
        write_report(folder, facts, outcome)
        if with_deepstream:
            deepstream.write(Bundle(folder, trust=True), folder / deepstream.FOLDER)
    if report:
        write_real_report(report, facts, outcome, Bundle(out, trust=True))
    _print(outcome, out)
    if with_deepstream:
        _say(f"DeepStream: {out / deepstream.FOLDER / deepstream.CONFIGURATION}, see docs/deepstream.md")
    engines: list[dict[str, Any]] = []
    try:
        if outcome.failures:
            raise GateError(f"{out} is written, but {'; '.join(outcome.failures)}")
        if triton_folder:
            command = triton.write(Bundle(out, trust=True), triton_folder)
            _say(f"Triton: tritonserver --model-repository={triton_folder / 'onnxruntime'}; on a GPU server")
            _say(f"build the engine first, then serve {triton_folder / 'tensorrt'}: {command}")
        with console.progress() as bar:
            engines = build_engines(Bundle(out, trust=True), bar, _say)
    finally:
        if json:
            files.write_json(json, {**facts, "engines": engines})


def _size(text: str) -> tuple[int, int]:
    """Height and width out of ``256`` or ``288x352``.

    Raises:
        InputError: it is neither, or a bundle cannot have that size.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and LEAST <= int(part) <= MOST for part in parts):
        raise InputError(f"--size {text}: expected N or HEIGHTxWIDTH, each from {LEAST} to {MOST}")
    return int(parts[0]), int(parts[-1])


def _channels(option: str, text: str) -> tuple[float, float, float]:
    """Red, green and blue out of ``0.5`` or ``0.485,0.456,0.406``.

    Raises:
        InputError: it is neither.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise InputError(f"{option} {text}: expected one number or three, as in 0.485,0.456,0.406")
    return values[0], values[len(values) // 2], values[-1]


def _say(line: str) -> None:
    console.out.print(line, markup=False)


def _print(outcome: ExportOutcome, out: Path) -> None:
    """The table of all files, and what was written where."""
    label = "data" if outcome.pairs else "golden"
    _say(f"agreement with the reference on {label} frames; latency of ONNX Runtime on the CPU")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("file", no_wrap=True)
    for heading in ("KiB", "max diff", "presence", "agree", "worst", "Dice", "p50 ms"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("gates", no_wrap=True)
    for name, entry in outcome.manifest.artefacts.items():
        verification = outcome.manifest.verification[name]
        figures = verification[label]
        change = figures.get("dice_image_change")
        table.add_row(
            name,
            f"{entry.bytes / 1024:.0f}",
            f"{figures['max_abs_difference']:.1e}",
            f"{figures['presence_difference']:.1e}",
            f"{figures['mask_agreement']['mean']:.4f}",
            f"{figures['mask_agreement']['worst']:.4f}",
            f"{change['mean']:+.4f}" if change else "-",
            f"{percentile(outcome.times_ms[name], 50):.2f}",
            "passed" if verification["passed"] else "FAILED",
        )
    console.out.print(table)
    graphs = {"as trained": outcome.manifest.model["cost_as_trained"]} | {
        name: entry.facts["cost"] for name, entry in outcome.manifest.artefacts.items()
    }
    for title, figures in graphs.items():
        _say(
            f"graph {title}: {figures['nodes']} nodes, {figures['convolutions']} convolutions, "
            f"{figures['macs'] / 1e6:.1f} M MACs, {figures['bytes_moved'] / 1e6:.1f} MB moved, "
            f"{figures['launches']} GPU launches expected"
        )
    if "int8" in outcome.manifest.artefacts:
        share = outcome.manifest.artefacts["int8"].facts["quantised"]
        _say(
            f"INT8: {share['convolutions_int8']} of {share['convolutions']} convolutions "
            f"({share['convolutions_percent']:.0f} %), {share['macs_percent']:.0f} % of the MACs"
        )
    for line in batching.described(outcome.manifest.batch) if outcome.manifest.batch else ():
        _say(line)
    _say(f"bundle {out}, report {out / 'report.html'}")


app = console.command_app(run)


def main() -> None:
    """Entry point of ``microaunet-export``."""
    app()


if __name__ == "__main__":
    main()
