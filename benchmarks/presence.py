"""Polyp-free frames without a region and polyps found at the shipped operating point, on the test lists.

    python -m benchmarks.presence --data DATA

For each of the weights: every source of polyp-free test frames, every set that they are reported on, small
polyps apart, and how well presence tells each set from all polyp-free frames. The picture shows sensitivity
against specificity over the operating point; dots are the shipped one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import matplotlib
import typer
from matplotlib.figure import Figure

from microaunet import checkpoint
from microaunet_export.report_charts import OperatingCurve, draw_operating_curves
from microaunet_runtime.console import DebugOption, command_app, out, progress
from microaunet_runtime.evaluation.operating_point import presence_summary
from microaunet_runtime.files import replacing, write_bytes, write_json
from microaunet_runtime.inference.pytorch import open_reference

from .measuring.reported import reported
from .measuring.results import RESULTS
from .measuring.seen import polyp_free_lists, see

RESULT = RESULTS / "presence.json"
COMMAND = "python -m benchmarks.presence --data DATA"
STUDENTS = ("general",)


def presence(
    data: Annotated[Path, typer.Option("--data", help="Holds the test sets of the committed lists.")],
    weights: Annotated[
        list[str] | None, typer.Option(help="Shipped names or files; general by default.")
    ] = None,
    result: Annotated[
        Path, typer.Option("--json", help="Where the figures go; .md and .svg are put beside.")
    ] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Measure presence on the test lists: frames clean, polyps found, small polyps, the operating curve.

    Example: python -m benchmarks.presence --data DATA
    """
    figures = {}
    for name in weights or STUDENTS:
        figures[_title(name)] = measure(name, data)
    write_json(result, {"command": COMMAND, "weights": figures})
    text = table(figures)
    write_bytes(result.with_suffix(".md"), text.encode())
    draw(result.with_suffix(".svg"), figures)
    out.print(text, markup=False)


def measure(weights: str, data: Path) -> dict[str, Any]:
    """By polyp-free source and by set, the figures at the weights' own operating point."""
    free_lists = polyp_free_lists("test")
    with open_reference(weights) as session, progress() as bar:
        named = bar.track(free_lists, description=f"{weights}, polyp-free")
        free = {name: see(session, name, data) for name in named}
        every_free = [frame for frames in free.values() for frame in frames]
        point = session.presence
        sets = {
            figure: presence_summary([*see(session, source, data), *every_free], point)
            for figure, source in bar.track(reported(weights).items(), description=f"{weights}, polyps")
        }
    return {
        "operating_point": point,
        "sha256": checkpoint.load(weights).sha256,
        "polyp_free": {
            name: presence_summary(frames, point)["polyp_free"]
            for name, frames in {**free, "all": every_free}.items()
        },
        "sets": {
            figure: {key: found[key] for key in ("polyps", "small_polyps", "auc", "curve")}
            for figure, found in sets.items()
        },
    }


def table(figures: dict[str, Any]) -> str:
    """Markdown: a line per source of polyp-free frames, then one per set of polyps."""
    lines = [
        f"Made by `{COMMAND}`, at the operating point of each card. A frame is clean when",
        "nothing is shown. A polyp is found when its frame reaches the operating point and half of it is",
        "marked.",
        "",
        "| weights, from presence | frames without a polyp | clean | area marked |",
        "|---|---|---|---|",
    ]
    for name, found in figures.items():
        for source, free in found["polyp_free"].items():
            lines.append(
                f"| {name}, {found['operating_point']:g} | {source}, {free['frames']} "
                f"| {_percent(free['specificity'])} | {100 * free['area']['mean']:.2f} % |"
            )
    lines += [
        "",
        "| weights | frames with a polyp | polyp found | Dice, all masks / as shown | AUC against polyp-free "
        "| small polyps: found | their Dice, all masks / as shown |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in figures.items():
        for figure, entry in found["sets"].items():
            polyps, small = entry["polyps"], entry["small_polyps"]
            lines.append(
                f"| {name} | {figure}, {polyps['frames']} | {_percent(polyps['sensitivity'])} "
                f"| {_dice(polyps)} | {entry['auc']:.3f} "
                f"| {_percent(small['sensitivity'])} of {small['frames']} | {_dice(small)} |"
            )
    return "\n".join(lines) + "\n"


def _percent(measure: dict[str, Any]) -> str:
    if measure["mean"] is None:
        return "-"
    return "{:.1f} % ({:.1f}-{:.1f})".format(*(100 * measure[key] for key in ("mean", "low", "high")))


def _dice(found: dict[str, Any]) -> str:
    if found["dice"]["mean"] is None:
        return "-"
    return f"{found['dice']['mean']:.3f} / {found['dice_shown']['mean']:.3f}"


def draw(path: Path, figures: dict[str, Any]) -> None:
    """Sensitivity against specificity, a panel for each of the weights; SVG with the same bytes each time."""
    figure = Figure(figsize=(5.2 * len(figures), 4.6), layout="constrained")
    panels = figure.subplots(1, len(figures), squeeze=False)[0]
    for axes, (name, found) in zip(panels, figures.items(), strict=True):
        clean = found["polyp_free"]["all"]
        draw_operating_curves(
            axes, [OperatingCurve.of(title, entry, clean) for title, entry in found["sets"].items()]
        )
        axes.set(title=f"{name}, from presence {found['operating_point']:g} on")
    with replacing(path) as temporary, matplotlib.rc_context({"svg.hashsalt": "microaunet"}):
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _title(weights: str) -> str:
    """The shipped name, or of a run's file the name of the run's folder."""
    return weights if weights in checkpoint.shipped() else Path(weights).parent.name


if __name__ == "__main__":
    command_app(presence)()
