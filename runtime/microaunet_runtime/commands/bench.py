"""``microaunet-bench``: how fast a bundle is here, and whether it has become slower than another."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..bench import earlier
from ..bench.latency import OVERHEAD, SOURCE_SIZE, STAGES, Trace, measure, measure_gpu
from ..bench.latency_comparison import Sampling, Side, compare_latency
from ..bench.pictures import distribution_picture, trace_picture
from ..bench.timed_frames import timing_frames
from ..bundle import Bundle
from ..console import (
    BANNER,
    BundleOption,
    DebugOption,
    JsonOption,
    ThreadsOption,
    TrustOption,
    UrlOption,
    VersionOption,
    out,
    progress,
    reports_errors,
    run_app,
)
from ..device.environment import environment
from ..device.power import PowerMeter
from ..errors import GateError
from ..files import write_json
from ..inference.session import open_session
from ..optional import opencv
from ..percentiles import PERCENTILES
from ..verification import gates

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode="rich", no_args_is_help=True)

BackendOption = Annotated[str, typer.Option("--backend", help="auto, or the name of one.")]
PrecisionOption = Annotated[str, typer.Option("--precision", help="fp32, fp16, int8 or int8-fp16.")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="Data set (images/, masks/); without it, the golden frames.")
]


AllowedOption = Annotated[
    float, typer.Option("--allowed", min=1.0, help="Fail if slower than this many times the baseline.")
]


@app.callback()
def bench(version: VersionOption = False) -> None:
    """Measure bundles: latency on this device, and regression of one bundle against another."""


@app.command()
@reports_errors
def latency(
    bundle: BundleOption,
    backend: BackendOption = "auto",
    url: UrlOption = None,
    precision: Annotated[
        str | None, typer.Option("--precision", help="By default the one that microaunet-run chooses.")
    ] = None,
    threads: ThreadsOption = 1,
    data: DataOption = None,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Least number of timed frames.")] = 500,
    duration: Annotated[
        float,
        typer.Option("--duration", min=0, help="Continue for this many seconds, to see the effect of heat."),
    ] = 0.0,
    power: Annotated[bool, typer.Option("--power", help="Sample power with tegrastats (Jetson).")] = False,
    against: Annotated[
        Path | None, typer.Option("--against", help="JSON of an earlier run on this device; slower fails.")
    ] = None,
    allowed: AllowedOption = 1.10,
    trust: TrustOption = False,
    pictures: Annotated[Path | None, typer.Option("--out", help="Folder for the plots.")] = None,
    json: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Time a bundle from a 1080p frame to the overlay, stage by stage.

    Example: [bold]microaunet-bench latency --bundle bundle --data kvasir-seg --out runs/latency[/bold]
    """
    out.print(BANNER)
    previous = earlier.read(against) if against else None
    opened = Bundle(bundle, trust=trust)
    images, source = timing_frames(opened, data, *SOURCE_SIZE)
    opencv().setNumThreads(threads)  # or "one thread" would be one for the network only
    camera = [image[:, :, ::-1].copy() for image in images]
    with ExitStack() as stack:
        session = stack.enter_context(
            open_session(opened, backend=backend, precision=precision, threads=threads, url=url)
        )
        meter = stack.enter_context(PowerMeter()) if power else None
        bar = stack.enter_context(progress())
        task = bar.add_task("timing frames", total=frames)
        trace = measure(session, camera, count=frames, duration_s=duration, advance=lambda: bar.advance(task))
        gpu = measure_gpu(session, camera, frames)
        facts = environment(backend=session.backend.name, threads=threads)
        precision, note = session.backend.precision, session.note
    figures = {
        **trace.figures(),
        "bundle": opened.manifest.name,
        "precision": precision,
        "source": {"kind": source, "height": SOURCE_SIZE[0], "width": SOURCE_SIZE[1]},
        "gpu": gpu,
        "over_time": trace.over_time() if duration else None,
        "environment": facts,
    }
    if meter:
        figures["power"] = meter.figures(len(trace.started_s) / max(float(trace.started_s[-1]), 1e-9))
    out.print(f"{facts['backend']} {precision}{f', {note}' if note else ''}", markup=False)
    _print_latency(figures)
    comparison = earlier.gate(figures, previous, allowed) if previous else None
    if pictures:
        _draw(pictures, trace, f"{figures['bundle']} {precision}, {facts['backend']}", sustained=duration > 0)
    if json:
        write_json(json, {**figures, "against": comparison})
    if comparison and not comparison["passed"]:
        raise GateError(comparison["message"])


@app.command(name="regression")
@reports_errors
def regression_command(
    bundle: BundleOption,
    baseline: Annotated[Path, typer.Option("--baseline", help="The bundle that --bundle is compared with.")],
    backend: BackendOption = "auto",
    precision: PrecisionOption = "fp32",
    threads: ThreadsOption = 1,
    allowed: AllowedOption = 1.10,
    data: DataOption = None,
    trust: TrustOption = False,
    json: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Fail (exit code 3) if a bundle is slower, less accurate or larger than its baseline, or has more nodes.

    Example: [bold]microaunet-bench regression --bundle bundle --baseline benchmarks/baselines/kvasir[/bold]
    """
    sides = (Bundle(baseline, trust=trust), Bundle(bundle, trust=trust))
    for side in sides:  # what cannot run is said before anything is measured; auto becomes a name
        with open_session(side, backend=backend, precision=precision, threads=threads) as session:
            backend = session.backend.name
    sampling = Sampling()
    with progress() as bar:
        task = bar.add_task("blocks (fewer when it is clear)", total=sampling.max_blocks)
        measured = [_side(side, data, backend, precision, threads) for side in sides]
        comparison = compare_latency(
            measured[0], measured[1], allowed=allowed, sampling=sampling, advance=lambda: bar.advance(task)
        )
    found = gates.checks(*sides, backend=backend, precision=precision, data=data)
    ratio = comparison.ratio
    out.print(
        f"{ratio.verdict}: {ratio.ratio:.3f} times the baseline's time, 95 % interval "
        f"{ratio.low:.3f} to {ratio.high:.3f}, allowed {allowed:.2f} ({len(comparison.baseline_ms)} blocks)"
    )
    _print_checks(found)
    failed = [check.name for check in found if not check.passed]
    if not comparison.passed:
        failed.insert(0, "latency")
    if json:
        figures = {
            **comparison.figures(),
            "checks": [vars(check) for check in found],
            "failed": failed,
            "environment": environment(backend=backend, threads=threads),
        }
        write_json(json, figures)
    if failed:
        raise GateError(f"{bundle} fails against {baseline} in {', '.join(failed)}")


def _side(bundle: Bundle, data: Path | None, backend: str, precision: str, threads: int) -> Side:
    frames, _ = timing_frames(bundle, data, bundle.manifest.height, bundle.manifest.width)
    return Side(
        lambda: open_session(bundle, backend=backend, precision=precision, threads=threads).backend,
        [frame[None] for frame in frames],
    )


def _print_latency(figures: dict[str, Any]) -> None:
    columns = [f"p{p}" for p in PERCENTILES] + ["max", "spread"]
    table = Table(
        "stage, ms", *columns, title=f"{figures['frames']} frames on {figures['environment']['device']}"
    )
    for stage in (*STAGES, OVERHEAD):
        row = figures["latency_ms"][stage]
        table.add_row(stage, *(f"{row[name]:.2f}" for name in columns[:-1]), f"{100 * row['spread']:.0f} %")
    out.print(table)
    warm_up = figures["warm_up"]
    out.print(
        f"{figures['fps']:.0f} frames a second at p50 of end to end; {figures['source']['kind']} frames; "
        f"warm-up of {warm_up['frames']} frames excluded (first {warm_up['first_ms']:.1f} ms)"
    )
    if gpu := figures["gpu"]:
        times, host = gpu["latency_ms"], figures["latency_ms"]["inference"]["p50"]
        out.print(
            f"at p50 the GPU takes {times['p50']:.3f} of inference's {host:.3f} ms by CUDA events (p99 "
            f"{times['p99']:.3f}), the host the rest; NVIDIA's own check, without copies: {gpu['check']}",
            markup=False,
        )
    if power := figures.get("power"):
        out.print(f"{power['milliwatts']['mean']:.0f} mW, {power['mj_per_frame']:.1f} mJ per frame")


def _print_checks(found: list[gates.RegressionCheck]) -> None:
    table = Table("gate", "baseline", "candidate", "limit", "")
    for check in found:
        figures = (f"{value:.5g}" for value in (check.baseline, check.candidate, check.limit))
        table.add_row(check.name, *figures, "ok" if check.passed else "FAILED")
    out.print(table)


def _draw(folder: Path, trace: Trace, title: str, *, sustained: bool) -> None:
    distribution_picture(folder / "latency.png", trace, title)
    if sustained:
        trace_picture(folder / "latency-over-time.png", trace, title)
    out.print(f"pictures in {folder}")


def main() -> None:
    """Entry point of ``microaunet-bench``."""
    run_app(app)
