"""``microaunet-run``: segment images, videos, cameras and streams with a bundle."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import backends, batch
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
from ..errors import InputError, MicroAUNetError
from ..events import Events
from ..files import write_json
from ..images import opencv
from ..live import KINDS, open_live
from ..live.window import Window
from ..manifest import PRECISIONS
from ..pipeline import STALE_MS, Pipeline
from ..report import Report
from ..selftest import self_test
from ..session import Session, open_session
from ..sinks import JsonLines, MaskImages, OverlayImages, OverlayVideo, Sink
from ..sources import ImageFiles, Source, VideoFile, find_videos, open_files
from ..stabilise import Stabiliser
from ..view import ViewFinder
from .run_output import print_report, report_checks
from .signals import stopping_on_signals


def run(
    bundle: BundleOption,
    source: Annotated[
        str,
        typer.Option("--source", help=f"Image, video, folder or glob of either; or live: {KINDS}."),
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
    masks: Annotated[
        bool | None, typer.Option(help="Write a mask per frame; by default for files only.")
    ] = None,
    overlay: Annotated[bool, typer.Option(help="Write the overlay images or video.")] = True,
    stabilise: Annotated[
        bool, typer.Option("--stabilise", help="Smooth masks over time; videos and live sources.")
    ] = False,
    crop_view: Annotated[
        bool, typer.Option("--crop-view", help="Work inside the lit picture, without black borders.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the overlay in a window; q ends.")] = False,
    segment_s: Annotated[
        float, typer.Option("--segment-seconds", min=1, help="Length of a live recording's files.")
    ] = 60.0,
    test: Annotated[
        bool,
        typer.Option(
            "--self-test", help="Check every backend and precision against the golden frames instead."
        ),
    ] = False,
    json_file: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Segment polyps in images, videos and live sources. Research software, not for clinical use.

    Example: microaunet-run --bundle bundle --source clip.mp4 --out results
    """
    out.print(BANNER)
    opened = Bundle(bundle)
    if test:
        names = backends.NAMES if backend == "auto" else (backend,)
        report_checks(self_test(opened, names, threads), json_file)
        return
    if not source or out_folder is None:
        raise InputError("give --source and --out, or --self-test")
    # Resizing a frame takes 0.3 ms on one thread; a pool of OpenCV's would only get in inference's way.
    opencv().setNumThreads(1)
    one = _Runner(
        opened, backend, precision, threshold, threads, masks, overlay, stabilise, crop_view, segment_s
    )
    events = Events(lambda what: err.print(what, markup=False))
    live = open_live(source, events)
    if not live and (videos := find_videos(source)):
        _run_batch(one, videos, out_folder, json_file)
        return
    folder = _recording(out_folder) if live else out_folder
    report = one.run(live or open_files(source), folder, events, show)
    print_report(report, folder)
    if json_file:
        write_json(json_file, {"source": source, **one.facts(), **report.record()})
    if loss := report.loss():
        raise loss
    if report.interrupted:
        raise typer.Exit(130)


class _Runner:
    """One command's settings, applied to one source after the other."""

    def __init__(
        self,
        bundle: Bundle,
        backend: str,
        precision: str | None,
        threshold: float | None,
        threads: int,
        masks: bool | None,
        overlay: bool,
        stabilise: bool,
        crop_view: bool,
        segment_s: float,
    ) -> None:
        self._bundle = bundle
        self._backend = backend
        self._precision = precision
        self._threshold = threshold
        self._threads = threads
        self._masks = masks
        self._overlay = overlay
        self._stabilise = stabilise
        self._crop_view = crop_view
        self._segment_s = segment_s
        self._session: Session | None = None
        # Known before anything is read or written: a bundle without this precision, a threshold out of range.
        with self._opened() as session:
            out.print(f"{session.note}; threshold {session.threshold:g}", markup=False)
            self._session = session

    def run(self, source: Source, folder: Path, events: Events, show: bool = False) -> Report:
        """Segment ``source`` with a progress bar. Ctrl-C and SIGTERM end it, a second one the program."""
        if self._stabilise and source.fps is None and not source.live:
            raise InputError("--stabilise needs frames that follow each other in time: give a video")
        assert self._session is not None
        sinks = self._sinks(source, folder)
        window = Window(STALE_MS, lambda: pipeline.stop()) if show else None
        pipeline = Pipeline(
            source,
            self._opened,
            [*sinks, window] if window else sinks,
            view=ViewFinder(every_frame=isinstance(source, ImageFiles)) if self._crop_view else None,
            stabiliser=Stabiliser(self._session.threshold) if self._stabilise else None,
            events=events,
        )
        with progress() as bar, stopping_on_signals(pipeline.stop):
            task = bar.add_task(source.title, total=source.count)

            def tick() -> None:
                bar.update(task, completed=pipeline.report.frames)
                if window:
                    window.tick()

            try:
                return pipeline.run(tick, every_s=0.01 if window else 0.1)
            finally:
                if window:
                    window.end()

    def facts(self) -> dict[str, Any]:
        """What was run, for JSON."""
        assert self._session is not None
        return {
            "bundle": str(self._bundle.folder),
            "backend": self._session.backend.name,
            "precision": self._session.backend.precision,
            "note": self._session.note,
            "threshold": self._session.threshold,
            "threads": self._threads,
            "stabilise": self._stabilise,
            "crop_view": self._crop_view,
        }

    def settings(self) -> dict[str, Any]:
        """What the results of a file depend on besides the file."""
        facts = self.facts()
        kept = {key: facts[key] for key in ("backend", "precision", "threshold", "stabilise", "crop_view")}
        artefact = self._bundle.manifest.artefacts[facts["precision"]]
        return {
            **kept,
            "sha256": artefact.sha256,
            "masks": self._masks is not False,
            "overlay": self._overlay,
        }

    def _opened(self) -> Session:
        return open_session(
            self._bundle,
            backend=self._backend,
            precision=self._precision,
            threshold=self._threshold,
            threads=self._threads,
        )

    def _sinks(self, source: Source, folder: Path) -> list[Sink]:
        sinks: list[Sink] = [JsonLines(folder / "frames.jsonl", append_live=source.live)]
        if self._masks or (self._masks is None and not source.live):
            sinks.append(MaskImages(folder / "masks"))
        if self._overlay and isinstance(source, ImageFiles):
            sinks.append(OverlayImages(folder / "overlays"))
        elif self._overlay:
            sinks.append(
                OverlayVideo(folder, "overlay", source.fps, self._segment_s if source.live else None)
            )
        return sinks


def _recording(out_folder: Path) -> Path:
    """A folder of its own for a live run, named by the time: running twice overwrites nothing."""
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 1
    while (folder := out_folder / (name if number == 1 else f"{name}-{number}")).exists():
        number += 1  # the clock was set back
    return folder


def _run_batch(one: _Runner, videos: list[Path], out_folder: Path, json_file: Path | None) -> None:
    results: dict[str, dict[str, Any]] = {}
    failed: list[str] = []
    interrupted = False
    for number, (video, folder) in enumerate(batch.folders(videos, out_folder).items(), start=1):
        made_from = batch.identity(video, one.settings())
        title = f"{number}/{len(videos)} {video.name}"
        if batch.is_done(folder, made_from):
            out.print(f"{title}: done before", markup=False)
            results[video.name] = {"state": "done before"}
            continue
        batch.prepare(folder)
        try:
            report = one.run(VideoFile(video), folder, Events(lambda what: err.print(what, markup=False)))
        except MicroAUNetError as error:
            err.print(f"{title}: {error}", markup=False)
            results[video.name] = {"state": "failed", "error": str(error)}
            failed.append(str(error))
            continue
        state = "interrupted" if report.interrupted else "done"
        results[video.name] = {"state": state, **report.record()}
        out.print(f"{title}: {report.frames} frames, {report.fps:.1f} FPS, {state}", markup=False)
        if interrupted := report.interrupted:
            break
        batch.mark_done(folder, made_from, report.record())
    if json_file:
        write_json(json_file, {**one.facts(), "videos": results})
    if interrupted:
        out.print("stopped early; every file is complete and playable; run the same again to go on")
        raise typer.Exit(130)
    if failed:
        raise InputError(f"{len(failed)} of {len(videos)} videos failed, the first: {failed[0]}")
    out.print(f"written: {out_folder}", markup=False)


app = command_app(run)


def main() -> None:
    """Entry point."""
    app()
