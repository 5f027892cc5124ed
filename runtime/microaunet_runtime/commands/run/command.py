"""``microaunet-run``: segment images, videos, cameras and streams with a bundle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ...bundle import Bundle
from ...bundle.manifest import PRECISIONS
from ...console import (
    BANNER,
    BundleOption,
    DebugOption,
    JsonOption,
    ThreadsOption,
    TrustOption,
    UrlOption,
    command_app,
    err,
    out,
    run_app,
)
from ...device.environment import machine
from ...errors import InputError
from ...files import write_json
from ...inference import registry
from ...optional import opencv
from ...stream.events import Events
from ...stream.settings import StreamSettings
from ...stream.sources.decoded import DecodedVideo
from ...stream.sources.files import find_videos, output_names
from ...stream.sources.frame import Source
from ...stream.sources.opening import KINDS, open_live, open_recorded
from ...verification.selftest import self_test
from .batch import run_batch
from .folder import check_apart, claimed, clear, recording
from .live_page import open_server
from .output import list_sources, print_report, report_checks
from .runner import SourceRun, run_source
from .settings import RunFacts, RunSettings, find_facts
from .several import run_several


def run(
    bundle: BundleOption,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            help=f"Image, video, folder or glob of either; or live: {KINDS}. Several at once: give it again.",
        ),
    ] = None,
    listed: Annotated[
        bool,
        typer.Option(
            "--list-sources",
            callback=list_sources,
            is_eager=True,
            help="Print the cameras and readers of this machine, and exit.",
        ),
    ] = False,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for masks, overlays and frames.jsonl.")
    ] = None,
    backend: Annotated[str, typer.Option("--backend", help=registry.CHOICES)] = "auto",
    url: UrlOption = None,
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
    presence: Annotated[
        float | None,
        typer.Option(
            "--presence",
            help="Show regions from this presence of a frame on, 0: always; replaces the bundle's.",
        ),
    ] = None,
    threads: ThreadsOption = 1,
    masks: Annotated[
        bool | None, typer.Option(help="Write a mask per frame; by default for files only.")
    ] = None,
    overlay: Annotated[bool, typer.Option(help="Write the overlay images or video.")] = True,
    coco: Annotated[
        bool, typer.Option("--coco", help="Write the regions as COCO annotations too: box, area, RLE mask.")
    ] = False,
    stabilise: Annotated[
        bool, typer.Option("--stabilise", help="Smooth masks over time; videos and live sources.")
    ] = False,
    crop_view: Annotated[
        bool, typer.Option("--crop-view", help="Work inside the lit part of the picture only.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the overlay in a window; q quits.")] = False,
    serve: Annotated[
        str | None,
        typer.Option(
            "--serve",
            metavar="[HOST:]PORT",
            help="Show the run in a browser. Without a host: on this machine only; with one: with a token.",
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="MICROAUNET_TOKEN",
            help="With --serve: the token that viewers need. By default one is made and printed if needed.",
        ),
    ] = None,
    segment_s: Annotated[
        float, typer.Option("--segment-seconds", min=1, help="Length of a live recording's files.")
    ] = 60.0,
    test: Annotated[
        bool,
        typer.Option(
            "--self-test", help="Check every backend and precision against the golden frames instead."
        ),
    ] = False,
    trust: TrustOption = False,
    json_file: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Segment polyps in images, videos and live sources. Research software, not for clinical use.

    Example: microaunet-run --bundle bundle --source clip.mp4 --out results
    """
    out.print(BANNER)
    opened = Bundle(bundle, trust=trust)
    if test:
        names = registry.NAMES if backend == "auto" and url is None else (backend,)
        report_checks(self_test(opened, names, threads, url), json_file)
        return
    if not sources or out_folder is None:
        raise InputError("give --source and --out, or --self-test")
    if len(sources) > 1 and (show or serve):
        raise InputError(f"{'--show' if show else '--serve'} shows one source: give one --source")
    # Resizing a frame takes 0.3 ms on one thread; a pool of OpenCV's would only get in inference's way.
    opencv().setNumThreads(1)
    settings = RunSettings(
        stream=StreamSettings(
            opened, backend, precision, threshold, presence, threads, stabilise, crop_view, url
        ),
        masks=masks,
        overlay=overlay,
        coco=coco,
        segment_s=segment_s,
    )
    facts = find_facts(settings.stream)
    out.print(facts.title, markup=False)
    events = Events(lambda what: err.print(what, markup=False))
    if len(sources) > 1:
        run_several(settings, facts, sources, out_folder, json_file)
        return
    (source,) = sources
    live = open_live(source, events)
    if not live and (videos := find_videos(source)):
        if serve:
            raise InputError(f"--serve shows one source: give one video, such as {videos[0]}")
        run_batch(settings, facts, videos, out_folder, json_file)
        return

    server = None
    if serve:
        server = open_server(serve, token)
        out.print(f"live page: {server.entrance}", markup=False)

    def run_and_tell(frames: Source, folder: Path) -> None:
        try:
            ran = run_source(settings, frames, folder, events, show=show, server=server)
        finally:
            if server:
                server.stop()
        _tell(ran, facts, frames.title, folder, json_file)

    if live:
        run_and_tell(live, recording(out_folder))
        return
    frames = open_recorded(source)
    check_apart(out_folder, frames.paths)
    with claimed(out_folder):
        clear(
            out_folder, [] if isinstance(frames, DecodedVideo) else list(output_names(frames.paths).values())
        )
        run_and_tell(frames, out_folder)


def _tell(ran: SourceRun, facts: RunFacts, title: str, folder: Path, json_file: Path | None) -> None:
    """Print and write what was done, dropped and lost, then exit with the code of the run's end."""
    report = ran.report
    if report.frames or not ran.error:
        print_report(report, folder)
        if json_file:
            write_json(
                json_file, {"source": title, **asdict(facts), **report.record(), "environment": machine()}
            )
    if error := ran.error or report.loss():
        raise error
    if report.interrupted:
        raise typer.Exit(130)


app = command_app(run)


def main() -> None:
    """Entry point."""
    run_app(app)
