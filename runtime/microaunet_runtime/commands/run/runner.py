"""The settings of one ``microaunet-run``, applied to one source after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...bundle import Bundle
from ...console import out, progress
from ...errors import InputError, MicroAUNetError
from ...images.field_of_view import ViewFinder
from ...inference.session import Session, open_session
from ...stream.events import Events
from ...stream.pipeline import STALE_MS, Pipeline
from ...stream.report import Report
from ...stream.sinks.files import JsonLines, MaskImages, OverlayImages, OverlayVideo, Sink
from ...stream.sinks.window import Window
from ...stream.sources.files import ImageFiles
from ...stream.sources.frame import Source
from ...stream.stabilise import Stabiliser
from .signals import stopping_on_signals


@dataclass
class Runner:
    """Settings as the command takes them. Making one opens the bundle's session once, to say what will run.

    Attributes:
        presence: replaces the bundle's, for stabilised masks; None for the bundle's.
        masks: write masks; None for files only.
        segment_s: length of a live recording's files in seconds.
        report: of the latest run, also when it failed.
        stop_asked: a signal or the window asked for the end.

    Raises:
        InputError: what cannot run here: a precision that the bundle lacks, a threshold or a presence
            out of range.
    """

    bundle: Bundle
    backend: str
    precision: str | None
    threshold: float | None
    presence: float | None
    threads: int
    masks: bool | None
    overlay: bool
    stabilise: bool
    crop_view: bool
    segment_s: float
    report: Report = field(init=False, default_factory=Report)
    stop_asked: bool = field(init=False, default=False)
    _opened: Session = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.presence is not None and not (self.stabilise and 0 < self.presence < 1):
            raise InputError(
                f"--presence {self.presence}: give a probability between 0 and 1, with --stabilise"
            )
        with self._open() as session:
            self._opened = session  # only its facts are read once it is closed
        if self.presence is not None and self.presence < session.threshold:
            raise InputError(f"--presence {self.presence} is below the threshold {session.threshold:g}")
        sure = f", presence {self._presence():g}" if self.stabilise else ""
        out.print(f"{session.note}; threshold {session.threshold:g}{sure}", markup=False)

    def run(self, source: Source, folder: Path, events: Events, show: bool = False) -> Report:
        """Segment ``source`` with a progress bar. Ctrl-C and SIGTERM end it, a second one the program."""
        if self.stabilise and source.fps is None and not source.live:
            raise InputError("--stabilise needs frames that follow each other in time: give a video")
        sinks = self._sinks(source, folder)
        window = Window(STALE_MS, lambda: stop()) if show else None
        pipeline = Pipeline(
            source,
            self._open,
            [*sinks, window] if window else sinks,
            view=ViewFinder(every_frame=isinstance(source, ImageFiles)) if self.crop_view else None,
            stabiliser=Stabiliser(self._opened.threshold, self._presence()) if self.stabilise else None,
            events=events,
        )
        self.report = pipeline.report

        def stop() -> None:
            self.stop_asked = True
            pipeline.stop()

        with progress() as bar, stopping_on_signals(stop):
            task = bar.add_task(source.title, total=source.count)

            def tick() -> None:
                bar.update(task, completed=pipeline.report.frames)
                if window:
                    window.tick()

            try:
                return pipeline.run(tick, every_s=0.01 if window else 0.1)
            except MicroAUNetError as error:
                self.report.error = str(error)
                raise
            finally:
                if window:
                    window.end()

    def facts(self) -> dict[str, Any]:
        """What was run, for JSON."""
        return {
            "bundle": str(self.bundle.folder),
            "backend": self._opened.backend.name,
            "precision": self._opened.backend.precision,
            "note": self._opened.note,
            "threshold": self._opened.threshold,
            "threads": self.threads,
            "stabilise": self.stabilise,
            "presence": self._presence() if self.stabilise else None,
            "crop_view": self.crop_view,
        }

    def settings(self) -> dict[str, Any]:
        """What the results of a file depend on besides the file."""
        facts = self.facts()
        decisive = ("backend", "precision", "threshold", "stabilise", "presence", "crop_view")
        kept = {key: facts[key] for key in decisive}
        artefact = self.bundle.manifest.artefacts[facts["precision"]]
        return {
            **kept,
            "sha256": artefact.sha256,
            "masks": self.masks is not False,
            "overlay": self.overlay,
        }

    def _presence(self) -> float:
        """As asked, else the bundle's; with a raised threshold at least that: no mask shows less."""
        own = self.bundle.manifest.presence if self.presence is None else self.presence
        return max(own, self._opened.threshold)

    def _open(self) -> Session:
        return open_session(
            self.bundle,
            backend=self.backend,
            precision=self.precision,
            threshold=self.threshold,
            threads=self.threads,
        )

    def _sinks(self, source: Source, folder: Path) -> list[Sink]:
        sinks: list[Sink] = [JsonLines(folder / "frames.jsonl", append_live=source.live)]
        if self.masks or (self.masks is None and not source.live):
            sinks.append(MaskImages(folder / "masks"))
        if self.overlay and isinstance(source, ImageFiles):
            sinks.append(OverlayImages(folder / "overlays"))
        elif self.overlay:
            sinks.append(OverlayVideo(folder, "overlay", source.fps, self.segment_s if source.live else None))
        return sinks
