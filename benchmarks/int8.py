"""What FP16 and INT8 change on the sets that each shipped network is reported on.

    python -m benchmarks.int8 --data DATA
    python -m benchmarks.int8 --data DATA --before runs/general/weights.safetensors

Every set of weights is exported with its shipped ranges and compared with PyTorch, frame by frame, on ONNX
Runtime. ``--before`` adds weights as they were before their fine-tuning for INT8, so that both can be told
apart: what calibration alone gives, and what the fine-tuning is worth; no bar holds for these. Exits with 3
when a file misses a bar; INT8's are the project's own and narrower than the gates of `microaunet-export`,
which serve weights of any origin. So are those on what INT8 costs: launches and MACs.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from microaunet import checkpoint
from microaunet_export import verify
from microaunet_export.exporting import ExportRequest, export
from microaunet_export.range_file import SUFFIX
from microaunet_runtime import console, files
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import DebugOption
from microaunet_runtime.errors import GateError

from .measuring.reported import reported, reported_pairs
from .measuring.results import RESULTS

RESULT = RESULTS / "int8.json"
BARS = verify.Gates(int8_agreement=0.98, int8_dice_change=0.003)
WORST_FRAME, WORST_ON = 0.80, "kvasir_test"  # elsewhere polyps of a few pixels decide
MORE_LAUNCHES, MACS_PERCENT = 4, 90.0


def int8(
    data: Annotated[Path, typer.Option(help="Holds kvasir-seg/ and cvc-clinicdb/.")],
    weights: Annotated[
        list[str] | None, typer.Option(help="Shipped names or files of runs; all shipped ones by default.")
    ] = None,
    before: Annotated[
        list[str] | None, typer.Option(help="As --weights, of before the fine-tuning; no bar holds for them.")
    ] = None,
    result: Annotated[
        Path, typer.Option("--json", help="Where the figures go; a .md is put beside.")
    ] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Measure every exported precision of the shipped weights on their test sets.

    Example: python -m benchmarks.int8 --data DATA
    """
    figures: dict[str, Any] = {}
    failures: list[str] = []
    ranged = [path.name.removesuffix(SUFFIX) for path in sorted(checkpoint.SHIPPED.glob(f"*{SUFFIX}"))]
    for name in weights or ranged:
        figures[label(name)], found = measure(name, data)
        failures += [f"{label(name)}{text}" for text in found]
    for name in before or []:
        figures[f"{label(name)} before fine-tuning"], _ = measure(name, data)
    files.write_json(result, {"bars": vars(BARS), "failures": failures, "weights": figures})
    text = table(figures)
    files.write_bytes(result.with_suffix(".md"), text.encode())
    console.out.print(text, markup=False)
    if failures:
        raise GateError("; ".join(failures))


def label(weights: str) -> str:
    """A shipped name as it is, a run's file by the name of the run's folder."""
    return weights if weights in checkpoint.shipped() else Path(weights).parent.name


def measure(name: str, data: Path) -> tuple[dict[str, Any], list[str]]:
    """The figures of one set of weights, and which bars do not hold, a phrase each.

    Args:
        name: shipped, or the file of a run, beside its ranges.
        data: root of the test sets.
    """
    sources = reported(name)
    with tempfile.TemporaryDirectory() as folder:
        outcome = export(ExportRequest(name, int8=True), Path(folder), lambda line: None)
        bundle = Bundle(folder)
        bars = BARS.tolerances(bundle.manifest.artefacts)
        figures: dict[str, Any] = {**cost(bundle), "ranges": origin(name, bundle), "sets": {}}
        failures = [f": {text}" for text in shortfalls(figures)]
        for figure, source in sources.items():
            pairs = reported_pairs(source, data)
            samples = verify.real_samples(pairs, bundle.manifest.height, bundle.manifest.width)
            with console.progress() as bar:
                tick = partial(bar.advance, bar.add_task(f"{name} {figure}", total=len(pairs)))
                found = verify.agreement(bundle, outcome.reference, samples, 1, tick)
            figures["sets"][figure] = found
            failures += [
                f", {figure}, {precision}: {text}"
                for precision, values in found.items()
                for text in verify.failures(bars[precision], values)
            ]
            if figure == WORST_ON:
                failures += [f", {figure}, {text}" for text in bad_frames(found)]
    return figures, failures


def origin(name: str, bundle: Bundle) -> str:
    """How INT8's ranges came about, in words."""
    method = str((bundle.manifest.calibration or {})["method"])
    return f"fine-tuning, {method}" if "int8" in checkpoint.load(name).card else f"calibration, {method}"


def cost(bundle: Bundle) -> dict[str, Any]:
    """What INT8 costs beside FP16: ``launches`` expected by precision, and the share of the MACs in INT8."""
    artefacts = bundle.manifest.artefacts
    return {
        "launches": {name: entry.facts["cost"]["launches"] for name, entry in artefacts.items()},
        "quantised": artefacts["int8"].facts["quantised"],
    }


def shortfalls(figures: dict[str, Any]) -> list[str]:
    """Which bars on the cost (:func:`cost`) do not hold, a phrase each."""
    launches, share = figures["launches"], figures["quantised"]["macs_percent"]
    found = [
        f"{name} takes {launches[name]} launches, more than {MORE_LAUNCHES} above FP16's {launches['fp16']}"
        for name in ("int8", "int8-fp16")
        if launches[name] > launches["fp16"] + MORE_LAUNCHES
    ]
    if share < MACS_PERCENT:
        found.append(f"{share:.1f} % of the MACs are in INT8, fewer than {MACS_PERCENT:g} %")
    return found


def bad_frames(found: dict[str, Any]) -> list[str]:
    """The precisions whose worst frame agrees too little with PyTorch, a phrase each."""
    worst = {name: values["mask_agreement"]["worst"] for name, values in found.items()}
    return [
        f"{name}: the worst frame agrees to {value:.2f}, below {WORST_FRAME:g}"
        for name, value in worst.items()
        if not value >= WORST_FRAME
    ]


def table(figures: dict[str, Any]) -> str:
    """Markdown: a line per set of frames and precision."""
    lines = [
        "Made by `python -m benchmarks.int8`: every file against PyTorch on the same frames.",
        "",
        "| weights | ranges from | MACs in INT8 | launches expected: FP16 / INT8 / INT8 + FP16 |",
        "|---|---|---|---|",
        *(
            f"| {name} | {entry['ranges']} | {entry['quantised']['macs_percent']:.1f} % | "
            + " / ".join(str(entry["launches"][key]) for key in ("fp16", "int8", "int8-fp16"))
            + " |"
            for name, entry in figures.items()
        ),
        "",
        "| weights | frames | file | mask agreement, mean / worst | change of dice_image, mean / worst "
        "| presence, greatest difference |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in figures.items():
        for figure, found in entry["sets"].items():
            for precision, values in found.items():
                agreement, change = values["mask_agreement"], values["dice_image_change"]
                lines.append(
                    f"| {name} | {figure}, {values['frames']} | {precision} "
                    f"| {agreement['mean']:.4f} / {agreement['worst']:.4f} "
                    f"| {change['mean']:+.4f} / {change['worst']:+.4f} "
                    f"| {values['presence_difference']:.3f} |"
                )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    console.command_app(int8)()
