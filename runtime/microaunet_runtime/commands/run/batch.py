"""A folder of videos in one ``microaunet-run``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from ...console import err, out
from ...device.environment import machine
from ...errors import InputError, MicroAUNetError
from ...files import write_json
from ...optional import opencv
from ...stream.events import Events
from ...stream.sources.files import VideoFile
from . import done
from .folder import check_apart, claimed, clear
from .runner import run_source
from .settings import RunFacts, RunSettings, decisive


def run_batch(
    settings: RunSettings,
    facts: RunFacts,
    videos: list[Path],
    out_folder: Path,
    json_file: Path | None,
) -> None:
    """Segment the videos that are not done yet, each into its own folder below ``out_folder``.

    Raises:
        InputError: at the end, when a video failed; the others are done.
        typer.Exit: with 130, when the run was interrupted.
    """
    results: dict[str, dict[str, Any]] = {}
    failed: list[str] = []
    interrupted = False
    depends_on = decisive(settings, facts)
    for number, (video, folder) in enumerate(done.folders(videos, out_folder).items(), start=1):
        name = (folder.parent / video.name).relative_to(out_folder).as_posix()
        title = f"{number}/{len(videos)} {name}"
        try:
            made_from = done.identity(video, depends_on)
            check_apart(folder, [video])
            with claimed(folder):
                if done.is_done(folder, made_from):
                    out.print(f"{title}: done before", markup=False)
                    results[name] = {"state": "done before"}
                    continue
                done.unmark(folder)
                clear(folder)
                events = Events(lambda what: err.print(what, markup=False))
                ran = run_source(settings, VideoFile(video), folder, events)
                if ran.error:
                    raise ran.error
                report = ran.report
                if not report.interrupted:
                    done.mark_done(folder, made_from, report.record())
        except (MicroAUNetError, OSError, opencv().error) as error:  # none of the others is lost by it
            err.print(f"{title}: {error}", markup=False)
            results[name] = {"state": "failed", "error": str(error)}
            failed.append(str(error))
            continue
        state = "interrupted" if report.interrupted else "done"
        results[name] = {"state": state, **report.record()}
        out.print(f"{title}: {report.frames} frames, {report.fps:.1f} FPS, {state}", markup=False)
        if interrupted := ran.stop_asked:
            break
    if json_file:
        write_json(json_file, {**asdict(facts), "videos": results, "environment": machine()})
    if interrupted:
        out.print("stopped early; every file is complete and playable; run the command again to continue")
        raise typer.Exit(130)
    if failed:
        raise InputError(f"{len(failed)} of {len(videos)} videos failed, the first: {failed[0]}")
    out.print(f"written: {out_folder}", markup=False)
