"""``microaunet-run``: segment images, videos and streams with a bundle."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.table import Table

from .. import backends
from ..bundle import Bundle
from ..console import (
    BANNER,
    BundleOption,
    DebugOption,
    JsonOption,
    ThreadsOption,
    command_app,
    err,
    out,
    progress,
)
from ..errors import GateError, InputError
from ..files import write_json
from ..images import opencv
from ..manifest import PRECISIONS
from ..pipeline import Pipeline, Report
from ..selftest import Check, self_test
from ..session import open_session
from ..sinks import JsonLines, MaskImages, OverlayImages, OverlayVideo, Sink
from ..sources import Source, open_files


def run(
    bundle: BundleOption,
    source: Annotated[
        str, typer.Option("--source", help="An image, a folder or glob of images, or a video.")
    ] = "",
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for masks, overlays and frames.jsonl.")
    ] = None,
    backend: Annotated[str, typer.Option("--backend", help=f"auto, {' or '.join(backends.NAMES)}.")] = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            "--precision",
            help=f"{', '.join(PRECISIONS)}. Without it TensorRT's fastest engine, or fp32 on ONNX Runtime.",
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Replaces the bundle's threshold.")
    ] = None,
    threads: ThreadsOption = 1,
    masks: Annotated[bool, typer.Option(help="Write a mask per frame.")] = True,
    overlay: Annotated[bool, typer.Option(help="Write the overlay images or video.")] = True,
    test: Annotated[
        bool,
        typer.Option(
            "--self-test", help="Check every backend and precision against the golden frames instead."
        ),
    ] = False,
    json_file: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Segment polyps in images and videos. Research software, not for clinical use.

    Example: microaunet-run --bundle bundle --source clip.mp4 --out results
    """
    out.print(BANNER)
    opened = Bundle(bundle)
    if test:
        _report_checks(self_test(opened, _names(backend), threads), json_file)
        return
    if not source or out_folder is None:
        raise InputError("give --source and --out, or --self-test")
    # Resizing a frame takes 0.3 ms on one thread; a pool of OpenCV's would only get in inference's way.
    opencv().setNumThreads(1)
    session = open_session(opened, backend=backend, precision=precision, threshold=threshold, threads=threads)
    out.print(f"{session.note}; threshold {session.threshold:g}", markup=False)
    frames = open_files(source)
    pipeline = Pipeline(frames, lambda: session, _sinks(frames, out_folder, masks, overlay))
    report = _watched(pipeline, frames)
    _print_report(report, out_folder)
    if json_file:
        facts = {
            "bundle": str(bundle),
            "source": source,
            "backend": session.backend.name,
            "precision": session.backend.precision,
            "note": session.note,
            "threshold": session.threshold,
            "threads": threads,
        }
        write_json(json_file, {**facts, **report.record()})
    if report.interrupted:
        raise typer.Exit(130)


def _sinks(source: Source, folder: Path, masks: bool, overlay: bool) -> list[Sink]:
    sinks: list[Sink] = [JsonLines(folder / "frames.jsonl")]
    if masks:
        sinks.append(MaskImages(folder / "masks"))
    if overlay and source.fps is None:
        sinks.append(OverlayImages(folder / "overlays"))
    elif overlay:
        sinks.append(OverlayVideo(folder, "overlay", source.fps))
    return sinks


def _watched(pipeline: Pipeline, source: Source) -> Report:
    """Run with a progress bar; Ctrl-C and SIGTERM end the run, a second one ends the program."""
    with progress() as bar, stopping_on_signals(pipeline.stop):
        task = bar.add_task(source.title, total=source.count)
        return pipeline.run(lambda: bar.update(task, completed=pipeline.report.frames))


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGINT or SIGTERM; at the second, do what Python does by default."""
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        for each, handler in before.items():
            signal.signal(each, handler)
        err.print("stopping: closing what is being written")
        stop()

    for ending in (signal.SIGINT, signal.SIGTERM):
        before[ending] = signal.signal(ending, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_report(report: Report, folder: Path) -> None:
    table = Table(
        "stage", "p50 ms", "p95 ms", "p99 ms", title=f"{report.frames} frames, {report.fps:.1f} FPS"
    )
    for stage, figures in report.latency_ms.items():
        table.add_row(stage, *(f"{figures[p]:.2f}" for p in ("p50", "p95", "p99")))
    out.print(table)
    state = "stopped early; every file is complete and playable" if report.interrupted else "written"
    out.print(f"{state}: {folder}", markup=False)


def _names(backend: str) -> tuple[str, ...]:
    if backend == "auto":
        return backends.NAMES
    backends.load(backend)
    return (backend,)


def _report_checks(checks: list[Check], json_file: Path | None) -> None:
    table = Table("backend", "precision", "mask agreement", "max |difference|", "p50 ms", "result")
    for check in checks:
        found = check.agreement
        table.add_row(
            check.backend,
            check.precision,
            f"{found.mask_agreement:.4f}" if found else "-",
            f"{found.max_abs_difference:.2g}" if found else "-",
            f"{check.latency_ms['p50']:.2f}" if found else "-",
            "passed" if check.passed else f"{'FAILED' if check.ran else 'not here'}: {check.problem}",
        )
    out.print(table)
    if json_file:
        write_json(json_file, {"checks": [check.record() for check in checks]})
    if failed := [check for check in checks if check.ran and not check.passed]:
        first = failed[0]
        raise GateError(
            f"{len(failed)} of {len(checks)} checks failed, "
            f"the first is {first.backend} {first.precision}: {first.problem}"
        )
    if not any(check.ran for check in checks):
        raise InputError(f"nothing could be checked here: {checks[0].problem}")


app = command_app(run)


def main() -> None:
    """Entry point."""
    app()
