"""A folder of videos, one after the other. What is done is not done again, so a run can be ended at any time.

Each video has a folder of its own under the output. ``done.json`` is written there last, and says from which
file and with which settings the rest was made; a folder whose ``done.json`` still says so is left alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import read_json, write_json

DONE = "done.json"

# What a process that was killed leaves behind: the temporary names of files.replacing.
_LEFTOVER = re.compile(r"\.(overlay|frames|done|\d{6}).*\.(mp4|jsonl|json|png)")


def folders(videos: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where the results of each video go: named by its stem, or by its whole name when stems collide."""
    stems = Counter(video.stem for video in videos)
    return {video: out / (video.stem if stems[video.stem] == 1 else video.name) for video in videos}


def identity(video: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """What the results of ``video`` depend on."""
    facts = video.stat()
    return {"video": video.name, "bytes": facts.st_size, "modified_ns": facts.st_mtime_ns, **settings}


def is_done(folder: Path, made_from: dict[str, Any]) -> bool:
    """Whether ``folder`` holds the complete results of exactly this."""
    path = folder / DONE
    if not path.is_file():
        return False
    try:
        content = read_json(path)
    except InputError:
        return False
    return isinstance(content, dict) and content.get("made_from") == made_from


def prepare(folder: Path) -> None:
    """Remove the mark and what a killed run left, so that ``folder`` can be filled again."""
    (folder / DONE).unlink(missing_ok=True)
    for place in (folder, folder / "masks"):
        if place.is_dir():
            for path in place.iterdir():
                if _LEFTOVER.fullmatch(path.name) and path.is_file():
                    path.unlink()


def mark_done(folder: Path, made_from: dict[str, Any], report: dict[str, Any]) -> None:
    """Say that ``folder`` is complete."""
    write_json(folder / DONE, {"made_from": made_from, **report})
