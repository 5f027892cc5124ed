"""A lower bound of a bundle's time on a Jetson: layer by layer, by MACs, bytes and launches.

    python -m benchmarks.roofline --bundle benchmarks/baselines/kvasir --measured latency.json

This is an estimate. A layer's bound is the longest of three times: its MACs at the device's dense peak, its
bytes at the memory's bandwidth, and one launch. No device reaches its peaks with layers this small, and the
host adds its part, so a likely range is given beside the bound: see :data:`LIKELY`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import onnx
import typer
from matplotlib.figure import Figure
from rich.table import Table

from microaunet_runtime.bench.earlier import read
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, command_app, out
from microaunet_runtime.errors import InputError
from microaunet_runtime.files import replacing, write_json

from .measuring.layers import Layer, layers
from .measuring.results import RESULTS

# The file whose types an engine of a precision has.
FILES = {"fp16": "fp16", "int8": "int8-fp16"}

ESTIMATE = "an estimate from dense peak figures, not a measurement"
LIKELY = (1.5, 3.0)
"""Times the bound: small layers reach a third to two thirds of the peaks. A judgement, not a measurement."""

BOUNDS = ("compute", "memory", "launch")


@dataclass(frozen=True)
class Board:
    """A board: tera-operations a second (a MAC is two) by precision, and gigabytes a second."""

    name: str
    tops: Mapping[str, float]
    bandwidth_gb_s: float

    def bounds_us(self, layer: Layer, launch_us: float) -> dict[str, float]:
        """Microseconds that each of :data:`BOUNDS` needs at least for ``layer``."""
        return {
            "compute": layer.macs * 2 / (self.tops["int8" if layer.int8 else "fp16"] * 1e6),
            "memory": layer.bytes_moved / (self.bandwidth_gb_s * 1e3),
            "launch": launch_us,
        }


# Dense figures, by NVIDIA; those of Orin NX and AGX Orin could not be confirmed.
DEVICES = (
    Board("Orin Nano 8GB Super", {"int8": 33.0, "fp16": 17.0}, 102.0),
    Board("Orin NX 16GB", {"int8": 38.0, "fp16": 19.0}, 102.0),
    Board("AGX Orin 64GB", {"int8": 85.0, "fp16": 42.0}, 205.0),
)


def roofline(
    bundle: BundleOption,
    precision: Annotated[str, typer.Option("--precision", help="fp16 or int8.")] = "fp16",
    launch: Annotated[
        float, typer.Option("--launch", min=0, help="Microseconds per kernel in a CUDA graph; assumed.")
    ] = 3.0,
    measured: Annotated[
        list[Path] | None, typer.Option("--measured", help="JSON of microaunet-bench latency; repeatable.")
    ] = None,
    result: Annotated[Path, typer.Option("--json", help="Where figures go; a .png is put beside.")] = RESULTS
    / "roofline.json",
    debug: DebugOption = False,
) -> None:
    """Estimate the least time of every layer of a bundle on Jetson devices.

    Example: [bold]python -m benchmarks.roofline --bundle benchmarks/baselines/kvasir --precision int8[/bold]
    """
    if precision not in FILES:
        raise InputError(f"precision {precision!r} has no peak figure here: use {' or '.join(FILES)}")
    opened = Bundle(bundle)
    found = layers(onnx.load(opened.artefact(FILES[precision])[0]))
    points = [read(path) for path in measured or []]
    figures = estimate(found, precision, launch)
    figures["measured"] = [
        {
            "device": point["environment"]["device"],
            "inference_p50_us": 1e3 * point["latency_ms"]["inference"]["p50"],
        }
        for point in points
    ]
    write_json(result, {"bundle": opened.manifest.name, **figures})
    picture = result.with_suffix(".png")
    draw(picture, found, figures)
    _print(figures)
    out.print(f"{ESTIMATE}; {result}, {picture}", markup=False)


def estimate(found: Sequence[Layer], precision: str, launch_us: float) -> dict[str, Any]:
    """Bounds of every layer on every device, and their sums."""
    devices = {}
    for device in DEVICES:
        bounds = [device.bounds_us(layer, launch_us) for layer in found]
        limits = [max(BOUNDS, key=each.__getitem__) for each in bounds]
        devices[device.name] = {
            "bound_us": (bound := sum(max(each.values()) for each in bounds)),
            "likely_us": [factor * bound for factor in LIKELY],
            **{f"{name}_us": sum(each[name] for each in bounds) for name in BOUNDS},
            "layers_bound_by": {name: limits.count(name) for name in BOUNDS},
            "layers": bounds,
        }
    return {
        "kind": ESTIMATE,
        "precision": precision,
        "launch_us": launch_us,
        "macs": sum(layer.macs for layer in found),
        "bytes_moved": sum(layer.bytes_moved for layer in found),
        "launches": len(found),
        "layers": [asdict(layer) for layer in found],
        "devices": devices,
    }


def draw(path: Path, found: Sequence[Layer], figures: dict[str, Any]) -> None:
    """The devices' roofs, the layers below them, and what was measured, as PNG."""
    precision = figures["precision"]
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    computing = [layer for layer in found if layer.macs]
    intensities = [layer.macs / layer.bytes_moved for layer in computing]
    span = (min(intensities) / 4, max(2000.0, max(intensities) * 4))
    for device, style in zip(DEVICES, ("-", "--", "-."), strict=True):  # two roofs nearly coincide
        peak = device.tops[precision] * 1e3 / 2
        knee = peak / device.bandwidth_gb_s
        (line,) = axes.plot(
            [span[0], knee, span[1]],
            [span[0] * device.bandwidth_gb_s, peak, peak],
            linestyle=style,
            label=device.name,
        )
        bounds = figures["devices"][device.name]["layers"]
        axes.plot(
            intensities,
            [
                layer.macs / max(each.values()) / 1e3
                for layer, each in zip(found, bounds, strict=True)
                if layer.macs
            ],
            ".",
            color=line.get_color(),
        )
    for point in figures["measured"]:
        rate = figures["macs"] / point["inference_p50_us"] / 1e3
        axes.plot(figures["macs"] / figures["bytes_moved"], rate, "k*", markersize=12)
        axes.annotate(f"measured: {point['device']}", (figures["macs"] / figures["bytes_moved"], rate))
    axes.set(xscale="log", yscale="log", xlabel="MACs per byte", ylabel="GMAC/s")
    axes.set_title(
        f"{precision}; a dot is a layer, launches at {figures['launch_us']} us\n{ESTIMATE}", fontsize="medium"
    )
    axes.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _print(figures: dict[str, Any]) -> None:
    names = list(figures["devices"])
    table = Table("layer", "operators", "k MACs", "kB", *(f"{name}, us" for name in names))
    for index, layer in enumerate(figures["layers"]):
        bounds = [figures["devices"][name]["layers"][index] for name in names]
        table.add_row(
            layer["name"],
            " ".join(layer["operators"]),
            f"{layer['macs'] / 1e3:.0f}",
            f"{layer['bytes_moved'] / 1e3:.0f}",
            *(f"{max(each.values()):.1f} ({max(BOUNDS, key=each.__getitem__)})" for each in bounds),
        )
    out.print(table)
    for name, row in figures["devices"].items():
        out.print(
            f"{name}, {figures['precision']}: no less than {row['bound_us'] / 1e3:.3f} ms, likely "
            f"{row['likely_us'][0] / 1e3:.2f} to {row['likely_us'][1] / 1e3:.2f} (bounds: compute "
            f"{row['compute_us']:.0f} us, memory {row['memory_us']:.0f}, {figures['launches']} launches "
            f"{row['launch_us']:.0f})"
        )
    for point in figures["measured"]:
        out.print(f"measured on {point['device']}: {point['inference_p50_us']:.0f} us", markup=False)


if __name__ == "__main__":
    command_app(roofline)()
