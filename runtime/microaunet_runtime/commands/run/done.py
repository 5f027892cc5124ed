"""Which videos of a folder are done: they are not done again, so a run can be stopped at any time.

Each video has its own folder below the output. ``done.json`` is written there last, and says from which file
and with which settings the results were made; a folder whose ``done.json`` matches is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...files import read_json, write_json
from ...stream.sources.files import output_names

DONE = "done.json"


def folders(videos: Sequence[Path], out: Path) -> dict[Path, Path]:
    """The folder for the results of each video, named after the video, see :func:`output_names`."""
    return {video: out / name for video, name in output_names(videos).items()}


def identity(video: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The file and the settings that the results of ``video`` depend on."""
    facts = video.stat()
    return {"video": video.name, "bytes": facts.st_size, "modified_ns": facts.st_mtime_ns, **settings}


def is_done(folder: Path, made_from: dict[str, Any]) -> bool:
    """Whether ``folder`` holds the complete results of exactly this identity."""
    path = folder / DONE
    if not path.is_file():
        return False
    try:
        content = read_json(path)
    except InputError:
        return False
    return isinstance(content, dict) and content.get("made_from") == made_from


def unmark(folder: Path) -> None:
    """Remove the mark that ``folder`` is complete."""
    (folder / DONE).unlink(missing_ok=True)


def mark_done(folder: Path, made_from: dict[str, Any], report: dict[str, Any]) -> None:
    """Mark ``folder`` as complete."""
    write_json(folder / DONE, {"made_from": made_from, **report})
