"""A folder for the results of files: nothing is replaced there that this program did not write, and no two
runs write there at once.
"""

from __future__ import annotations

import errno
import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ...errors import InputError
from ...files import explained

MARK = ".microaunet"
"""A folder that holds this file was made by a run. Whoever writes there holds a lock on it."""

_RESULTS = re.compile(r"frames\.jsonl|overlay(-\d{4})?\.mp4|masks|overlays")
_MASK = re.compile(r"\d{6}\.png")  # of a video's frame
# What a process that was killed leaves behind: the temporary names of files.replacing.
_LEFT_BEHIND = re.compile(r"\.(overlay|frames|done|\d{6})\..*")


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make ``folder`` one for results, and the caller's own for as long as the context lasts.

    Raises:
        InputError: it holds results that no run of this program made, another run writes there, or it cannot
            be written.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARK).exists() and (found := _results(folder)):
            raise InputError(
                f"{found[0]} was not made by this program and would be replaced: choose another --out"
            )
        lock = (folder / MARK).open("a")
    with lock:
        _lock(lock, folder)
        yield


def clear(folder: Path) -> None:
    """Remove what a run over a video wrote: no mask of another one stays among the new ones."""
    masks = folder / "masks"
    ours = _results(folder)
    if masks.is_dir():
        ours += [path for path in masks.iterdir() if _MASK.fullmatch(path.name)]
    for place in (folder, masks):
        if place.is_dir():
            ours += [path for path in place.iterdir() if _LEFT_BEHIND.fullmatch(path.name)]
    for path in ours:
        if path.is_file():
            path.unlink()


def _results(folder: Path) -> list[Path]:
    """What runs replace in a folder; empty folders are nothing."""
    found = sorted(path for path in folder.iterdir() if _RESULTS.fullmatch(path.name))
    return [path for path in found if path.is_file() or any(path.iterdir())]


def _lock(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(
            f"another run writes to {folder}: wait for its end, or choose another --out"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # some network file systems have no locks
            raise
