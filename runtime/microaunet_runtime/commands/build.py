"""``microaunet-build``: engines for this device from a bundle, verified before they are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..building.build import BuiltEngine, build
from ..bundle import Bundle
from ..console import BundleOption, DebugOption, JsonOption, TrustOption, command_app, out, progress
from ..device.environment import machine
from ..files import write_json

PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        help="int8, fp16, fp32, or best: INT8 where it is faster than FP16 by over 3 %, else FP16.",
    ),
]
WorkspaceOption = Annotated[
    int | None,
    typer.Option(
        "--workspace",
        min=16,
        metavar="MB",
        help="Most scratch memory for the builder; by default 1024 or a quarter of the device's, if less.",
    ),
]
CapabilityOption = Annotated[
    str | None,
    typer.Option(help="Build for this GPU, e.g. SM86, without using one (TensorRT-RTX only; not verified)."),
]


def command(
    bundle: BundleOption,
    precision: PrecisionOption = "best",
    workspace: WorkspaceOption = None,
    compute_capability: CapabilityOption = None,
    trust: TrustOption = False,
    json: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Build the TensorRT engine of a bundle on the device that will run it.

    The engine is run on the bundle's golden frames and kept only if it agrees with the PyTorch reference.
    INT8 falls back to FP16 and FP16 to FP32, as printed. Exit code 3: the requested precision was not
    accepted. The first build takes up to a few minutes on a Jetson, the second call is instant.

    Example: microaunet-build --bundle bundle --precision best
    """
    opened = Bundle(bundle, trust=trust)
    with progress() as bars:
        built = build(
            opened,
            precision,
            compute_capability=compute_capability,
            workspace_mb=workspace,
            progress=bars,
            say=lambda line: out.print(line, markup=False),
        )
    out.print(_table(built))
    if json is not None:
        write_json(json, {"engines": [record(one, opened.folder) for one in built], "environment": machine()})


def record(built: BuiltEngine, bundle: Path) -> dict[str, object]:
    """The JSON entry of one engine: its sidecar, its path in the bundle, whether it existed already."""
    engine = built.engine
    path = engine.path.relative_to(bundle).as_posix()
    return {**engine.record(), "path": path, "verified": engine.verified, "cached": built.cached}


def _table(built: list[BuiltEngine]) -> Table:
    table = Table("engine", "layers", "KiB", "seconds", "mask agreement", "p50 ms", "p99 ms", box=None)
    for engine in (one.engine for one in built):
        agreement, latency = engine.agreement, engine.latency_ms
        table.add_row(
            engine.facts.precision,
            str(engine.layers or "-"),
            f"{engine.size / 1024:.0f}",
            f"{engine.seconds:.1f}",
            f"{agreement['mask_agreement']:.4f}" if agreement else "not verified",
            f"{latency['p50']:.3f}" if latency else "-",
            f"{latency['p99']:.3f}" if latency else "-",
        )
    return table


app = command_app(command)


def main() -> None:
    """Entry point."""
    app()
