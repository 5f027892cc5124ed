"""Several sources at once in one ``microaunet-run``, on one engine."""

from __future__ import annotations

import re
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path

import typer

from ...console import err, progress
from ...device.environment import machine
from ...errors import MicroAUNetError
from ...files import write_json
from ...inference.shared import SharedEngine
from ...stream.events import Events
from ...stream.pipeline import Pipeline
from ...stream.sources.frame import Source
from ...stream.sources.opening import open_source
from .folder import claimed, clear, recording
from .output import print_report
from .runner import sinks_of
from .settings import RunFacts, RunSettings
from .signals import stopping_on_signals


def run_several(
    settings: RunSettings, facts: RunFacts, texts: list[str], out_folder: Path, json_file: Path | None
) -> None:
    """Segment the sources that ``texts`` name, each into its own folder below ``out_folder``.

    One that fails does not end the others.

    Raises:
        InputError: a source cannot be used; raised before anything is written.
        MicroAUNetError: a source failed or lost results; raised at the end, when the others are complete.
        typer.Exit: with 130, when the run was interrupted.
    """
    engine = SharedEngine(settings.stream.open_session)
    with ExitStack() as stack:
        runs = []
        for number, text in enumerate(texts, start=1):
            events = Events(partial(_show, number))
            source = open_source(text, events)
            stack.callback(source.close)
            settings.stream.check(source)
            runs.append(_Run(folder_name(number, source), source, events))
        for run in runs:
            folder = out_folder / run.name
            if run.source.live:
                folder = recording(folder)
            else:
                stack.enter_context(claimed(folder))
                clear(folder, [])
            run.prepare(settings, folder, engine)
        _run_all(runs)
    engine.close()
    for run in runs:
        print_report(run.pipeline.report, run.folder)
    if json_file:
        records = {run.name: {"source": run.source.title, **run.pipeline.report.record()} for run in runs}
        write_json(json_file, {**asdict(facts), "sources": records, "environment": machine()})
    for run in runs:
        if error := run.error or run.pipeline.report.loss():
            raise error
    if any(run.pipeline.report.interrupted for run in runs):
        raise typer.Exit(130)


def folder_name(number: int, source: Source) -> str:
    """The folder name for the results of the ``number``-th source, such as ``1-camera-0`` or ``2-clip``."""
    title = source.title if source.live else Path(source.title).stem
    return f"{number}-{re.sub(r'[^A-Za-z0-9]+', '-', title).strip('-')[:40]}"


class _Run:
    """One of the sources."""

    def __init__(self, name: str, source: Source, events: Events) -> None:
        self.name, self.source, self.events = name, source, events
        self.folder = Path()
        self.pipeline: Pipeline
        self.error: MicroAUNetError | None = None
        self.crash: BaseException | None = None

    def prepare(self, settings: RunSettings, folder: Path, engine: SharedEngine) -> None:
        """Set where the results go; nothing runs yet."""
        self.folder = folder
        self.pipeline = Pipeline(
            self.source,
            engine.session,
            sinks_of(settings, self.source, folder, switched=False),
            view=settings.stream.view(self.source),
            stabiliser=settings.stream.stabiliser(),
            events=self.events,
        )

    def run(self) -> None:
        """Segment the source to its end; an error is kept for the main thread."""
        try:
            self.pipeline.run()
        except MicroAUNetError as error:
            self.pipeline.report.error = str(error)
            self.error = error
        except BaseException as error:  # raised in the main thread, where it is seen
            self.crash = error


def _run_all(runs: list[_Run]) -> None:
    def stop() -> None:
        for run in runs:
            run.pipeline.stop()

    threads = [threading.Thread(target=run.run, name=run.name, daemon=True) for run in runs]
    with progress() as bar, stopping_on_signals(stop):
        tasks = [bar.add_task(run.name, total=run.source.count) for run in runs]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            for run, task in zip(runs, tasks, strict=True):
                bar.update(task, completed=run.pipeline.report.frames)
            time.sleep(0.1)
    for run in runs:
        if run.crash:
            raise run.crash


def _show(number: int, what: str) -> None:
    err.print(f"source {number}: {what}", markup=False)
