"""One source, from its first frame to its last, with a progress bar."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...console import progress
from ...errors import MicroAUNetError
from ...stream.events import Events
from ...stream.pipeline import Pipeline
from ...stream.presenting import STALE_MS
from ...stream.report import Report
from ...stream.sinks.files import JsonLines, MaskImages, OverlayImages, OverlayVideo, Sink
from ...stream.sinks.window import Window
from ...stream.sources.files import ImageFiles
from ...stream.sources.frame import Source
from .settings import RunSettings
from .signals import stopping_on_signals


@dataclass(frozen=True)
class SourceRun:
    """What became of one source.

    Attributes:
        report: what was done, also when the run failed.
        stop_asked: a signal or the window asked for the end.
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
) -> SourceRun:
    """Segment ``source`` into ``folder``. Ctrl-C and SIGTERM end it, a second one the program.

    Raises:
        InputError: ``settings`` ask for what this source cannot have.
    """
    settings.stream.check(source)
    sinks = _sinks(settings, source, folder)
    window = Window(STALE_MS, lambda: stop()) if show else None
    pipeline = Pipeline(
        source,
        settings.stream.open_session,
        [*sinks, window] if window else sinks,
        view=settings.stream.view(source),
        stabiliser=settings.stream.stabiliser(),
        events=events,
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


def _sinks(settings: RunSettings, source: Source, folder: Path) -> list[Sink]:
    sinks: list[Sink] = [JsonLines(folder / "frames.jsonl", append_live=source.live)]
    if settings.masks or (settings.masks is None and not source.live):
        sinks.append(MaskImages(folder / "masks"))
    if settings.overlay and isinstance(source, ImageFiles):
        sinks.append(OverlayImages(folder / "overlays"))
    elif settings.overlay:
        segment_s = settings.segment_s if source.live else None
        sinks.append(OverlayVideo(folder, "overlay", source.fps, segment_s))
    return sinks
