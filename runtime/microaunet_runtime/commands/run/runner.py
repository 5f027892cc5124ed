"""One source, from its first frame to its last, with a progress bar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...console import progress
from ...errors import MicroAUNetError
from ...stream.events import Events
from ...stream.operating_point import OperatingPoint
from ...stream.pipeline import Pipeline
from ...stream.presenting import STALE_MS
from ...stream.report import Report
from ...stream.settings import follows_time
from ...stream.sinks.coco import CocoJson
from ...stream.sinks.files import JsonLines, MaskImages, OverlayImages, OverlayVideo, Sink
from ...stream.sinks.recording import Recording
from ...stream.sinks.window import Window
from ...stream.sources.files import ImageFiles
from ...stream.sources.frame import DEFAULT_FPS, Source
from ...stream.sources.paced import Paced
from ...web.live_page import LivePage
from .settings import RunSettings
from .signals import stopping_on_signals

if TYPE_CHECKING:  # what it needs only some installs have
    from ...web.server import LiveServer


@dataclass(frozen=True)
class SourceRun:
    """The outcome of one source.

    Attributes:
        report: what was done, also when the run failed.
        stop_asked: a signal or the window asked the run to stop.
        error: what ended the run before its time, or None.
    """

    report: Report
    stop_asked: bool
    error: MicroAUNetError | None


def run_source(
    settings: RunSettings,
    source: Source,
    folder: Path,
    events: Events,
    *,
    show: bool = False,
    server: LiveServer | None = None,
) -> SourceRun:
    """Segment ``source`` into ``folder``. Ctrl-C or SIGTERM ends the run, a second one the program.

    With a ``server`` its page shows the run, and a file plays at its own speed.

    Raises:
        InputError: ``settings`` ask for what this source cannot have.
    """
    settings.stream.check(source)
    sinks = sinks_of(settings, source, folder, switched=server is not None)
    window = Window(STALE_MS, lambda: stop()) if show else None
    if window:
        sinks.append(window)
    operating_point = OperatingPoint(settings.stream.operating_point)
    if server:
        page = LivePage(
            source.title,
            settings.stream.bundle.manifest.name,
            folder,
            events,
            operating_point,
            next((sink for sink in sinks if isinstance(sink, Recording)), None),
            1 / (source.fps or DEFAULT_FPS) if follows_time(source) else 1.0,
        )
        sinks.append(page)
        server.start(page)
    pipeline = Pipeline(
        source if server is None or source.live else Paced(source),
        settings.stream.open_session,
        sinks,
        view=settings.stream.view(source),
        stabiliser=settings.stream.stabiliser(),
        events=events,
        operating_point=operating_point,
    )
    stop_asked = False
    failure: MicroAUNetError | None = None

    def stop() -> None:
        nonlocal stop_asked
        stop_asked = True
        pipeline.stop()

    with progress() as bar, stopping_on_signals(stop):
        task = bar.add_task(source.title, total=source.count)

        def tick() -> None:
            bar.update(task, completed=pipeline.report.frames)
            if window:
                window.tick()

        try:
            pipeline.run(tick, every_s=0.01 if window else 0.1)
        except MicroAUNetError as error:
            pipeline.report.error = str(error)
            failure = error
        finally:
            if window:
                window.end()
    return SourceRun(pipeline.report, stop_asked, failure)


def sinks_of(settings: RunSettings, source: Source, folder: Path, *, switched: bool) -> list[Sink]:
    """The requested sinks; with ``switched`` the video can be turned on and off."""
    sinks: list[Sink] = [JsonLines(folder / "frames.jsonl", append_live=source.live)]
    if settings.coco:
        sinks.append(CocoJson(folder / "coco.json"))
    if settings.masks or (settings.masks is None and not source.live):
        sinks.append(MaskImages(folder / "masks"))
    if settings.overlay and isinstance(source, ImageFiles):
        sinks.append(OverlayImages(folder / "overlays"))
    elif not isinstance(source, ImageFiles) and (settings.overlay or switched):
        segment_s = settings.segment_s if source.live else None
        video = OverlayVideo(folder, "overlay", source.fps, segment_s)
        sinks.append(Recording(video, on=settings.overlay) if switched else video)
    return sinks
