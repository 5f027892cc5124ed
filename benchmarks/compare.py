"""MicroAUNet beside the networks it is compared with: size, MACs, measured latency, accuracy.

    python -m benchmarks.compare

Latency is ONNX Runtime's on one CPU thread at 256 x 256, all networks in turns in one run. The shipped
student runs as its bundle does; every other network as ``torch.onnx`` exports it, and `paper` also through
our deploy graph, to separate the gain of the graph from that of the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import nn

from microaunet import checkpoint
from microaunet.models import create, parameters
from microaunet.models.complexity import count_macs
from microaunet_export.coverage import cost
from microaunet_runtime.bench.ratio import ratio_of_medians
from microaunet_runtime.console import DebugOption, command_app, out, progress
from microaunet_runtime.device.environment import environment
from microaunet_runtime.files import read_json, write_bytes, write_json
from microaunet_runtime.percentiles import summary

from .measuring.graphs import SIZE, MeasuredGraph, as_published, as_shipped
from .measuring.results import RESULTS
from .measuring.timing import frames, side_by_side
from .networks.unet import UNet
from .networks.unext import UNeXt

SHIPPED, PAPER = "microaunet", "microaunet (paper)"
CONVENTION = (
    f"multiply-accumulates of convolutions and matrix products for one frame of {SIZE} x {SIZE} "
    "(torch.utils.flop_counter, half of its FLOPs)"
)
# Parameters in millions as their papers state them.
PUBLISHED_MILLIONS = {PAPER: 0.0249, "malunet": 0.175, "unet": 7.77, "unext": 1.47}
# Networks that are not built here: figures of the MicroAUNet paper (arXiv 2511.01143).
PUBLISHED_ONLY = {"sanet": {"parameters": 23_900_000, "source": "published, arXiv 2511.01143"}}


def graphs(student: nn.Module) -> list[MeasuredGraph]:
    """Every network of the comparison that is built here; ``student`` is the shipped one."""
    return [
        as_shipped(SHIPPED, student),
        as_published(PAPER, create("paper")),
        as_shipped(f"{PAPER}, our deploy graph", create("paper").eval()),
        as_published("malunet", create("malunet")),
        as_published("unext", UNeXt()),
        as_published("unet", UNet()),
    ]


def compare(
    weights: Annotated[
        str, typer.Option("--weights", help="The student: a shipped name or a file.")
    ] = "kvasir",
    card: Annotated[
        list[Path] | None, typer.Option("--card", help="Card of another network trained here; repeatable.")
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=2, help="Times that all sessions are opened.")] = 12,
    result: Annotated[
        Path, typer.Option("--json", help="Where the figures go; a .md is put beside.")
    ] = RESULTS / "compare.json",
    debug: DebugOption = False,
) -> None:
    """Compare the shipped student with the networks of the literature.

    Example: [bold]MICROAUNET_DATA=data python -m benchmarks.compare --weights kvasir[/bold]
    """
    torch.manual_seed(0)
    student = checkpoint.load(weights)
    built = graphs(student.model)
    tensors, kind = frames()
    facts = environment(backend="onnxruntime", threads=1)
    with progress() as bar:
        task = bar.add_task("timing in turns", total=rounds)
        times = side_by_side(built, tensors, rounds, lambda: bar.advance(task))
    accuracy = {SHIPPED: student.card.get("figures"), **_accuracy(card or [])}
    rows: dict[str, dict[str, Any]] = {}
    for graph in built:
        ratio = ratio_of_medians(times[SHIPPED].wall, times[graph.name].wall)
        rows[graph.name] = {
            "parameters": parameters(graph.network),
            "parameters_published": _published(graph.name),
            "macs": count_macs(graph.network, SIZE, SIZE),
            "nodes": cost(graph.onnx).nodes,
            "latency_ms": summary(times[graph.name].wall.ravel()),
            "cpu_ms": summary(times[graph.name].cpu.ravel()),
            "times_shipped": vars(ratio),
            "accuracy": accuracy.get(graph.name),
            "source": "measured",
        }
    speedup = rows[PAPER]["times_shipped"]
    figures = {
        "speedup_over_paper": rows[PAPER]["latency_ms"]["p50"] / rows[SHIPPED]["latency_ms"]["p50"],
        "speedup_over_paper_cpu": rows[PAPER]["cpu_ms"]["p50"] / rows[SHIPPED]["cpu_ms"]["p50"],
        "speedup_over_paper_interval": {name: speedup[name] for name in ("low", "high")},
        "macs_convention": CONVENTION,
        "frames": kind,
        "weights": student.name,
        "rounds": rounds,
        "networks": {**rows, **PUBLISHED_ONLY},
        "environment": facts,
    }
    write_json(result, figures)
    text = markdown(figures)
    write_bytes(result.with_suffix(".md"), text.encode())
    out.print(text, markup=False)


def markdown(figures: dict[str, Any]) -> str:
    """The comparison as a Markdown table."""
    lines = [
        "| network | parameters | M MACs | nodes | p50 ms | p90 ms | CPU ms | x shipped (95 %) | dice |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in figures["networks"].items():
        if row["source"] != "measured":
            lines.append(f"| {name} | {row['parameters']:,} ({row['source']}) | - | - | - | - | - | - | - |")
            continue
        ratio, latency = row["times_shipped"], row["latency_ms"]
        lines.append(
            f"| {name} | {row['parameters']:,} | {row['macs'] / 1e6:,.1f} | {row['nodes']} | "
            f"{latency['p50']:.2f} | {latency['p90']:.2f} | {row['cpu_ms']['p50']:.2f} | "
            f"{ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}) | {_dice(row['accuracy'])} |"
        )
    facts = figures["environment"]
    return "\n".join(
        [
            *lines,
            "",
            f"`speedup_over_paper` {figures['speedup_over_paper']:.2f} by p50 of what a user waits, "
            f"{figures['speedup_over_paper_cpu']:.2f} by CPU time, which a busy machine disturbs less. "
            f"MACs: {figures['macs_convention']}. "
            f"Latency: ONNX Runtime {facts['versions'].get('onnxruntime')}, one thread of {facts['device']}, "
            f"{figures['frames']} frames, {figures['rounds']} rounds in turns, load {facts['load_average']}. "
            "dice_image: of networks trained here, with the set it was measured on; `-`: not trained here. "
            "Made by `python -m benchmarks.compare`.",
            "",
        ]
    )


def _published(name: str) -> float | None:
    millions = PUBLISHED_MILLIONS.get(name)
    return None if millions is None else round(millions * 1e6)


def _accuracy(cards: list[Path]) -> dict[str, Any]:
    names = {"paper": PAPER}
    content = [read_json(path) for path in cards]
    return {
        names.get(entry["architecture"], entry["architecture"]): entry.get("figures") for entry in content
    }


def _dice(figures: dict[str, Any] | None) -> str:
    """``0.81 on kvasir-test``, for every set that the card names."""
    parts = []
    for name, values in (figures or {}).items():
        dice = values.get("dice_image") if isinstance(values, dict) else None
        mean = dice.get("mean") if isinstance(dice, dict) else dice
        if mean is not None:
            parts.append(f"{mean:.3f} on {name}")
    return ", ".join(parts) or "-"


if __name__ == "__main__":
    command_app(compare)()
