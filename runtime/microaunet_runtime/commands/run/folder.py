"""A folder for the results of files: nothing is replaced there that this program did not write, and no two
runs write there at once.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError
from ...files import explained, locked

MARK = ".microaunet"
"""A folder that holds this file was made by a run. Whoever writes there holds a lock on it.

Inside are the names of the images whose results are in the folder, one JSON string a line.
"""

_RESULTS = re.compile(r"frames\.jsonl|coco\.json|overlay(-\d{4})?\.mp4|masks|overlays")
_MASK = re.compile(r"\d{6}\.png")  # of a video's frame
# What a process that was killed leaves behind: the temporary names of files.replacing.
_LEFT_BEHIND = re.compile(r"\.(overlay|frames|done|\d{6})\..*")


def recording(out_folder: Path) -> Path:
    """Make a folder of its own for a live run, named by the time: no run overwrites another."""
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    number = 1
    with explained(out_folder):
        out_folder.mkdir(parents=True, exist_ok=True)
        while True:
            folder = out_folder / (name if number == 1 else f"{name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:  # another run began in this second, or the clock was set back
                number += 1
            else:
                return folder


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Make ``folder`` a results folder, and reserve it for the caller while the context lasts.

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
    with locked(folder / MARK, f"another run writes to {folder}: wait for its end, or choose another --out"):
        yield


def check_apart(folder: Path, sources: Iterable[Path]) -> None:
    """Raise InputError when one of ``sources`` is among the results that a run into ``folder`` replaces."""
    folder = folder.resolve()
    for source in sources:
        found = source.resolve()
        among = found.parent in (folder / "masks", folder / "overlays")
        if among or (found.parent == folder and _RESULTS.fullmatch(found.name)):
            raise InputError(
                f"{source} lies among the results in {folder}, which are replaced: choose another --out"
            )


def clear(folder: Path, names: Sequence[str] = ()) -> None:
    """Remove what an earlier run wrote: no mask of another video or image stays among the new ones.

    Args:
        names: of the images whose results are written next; none for a video.
    """
    masks = folder / "masks"
    ours = _results(folder) + _of_images(folder)
    if masks.is_dir():
        ours += [path for path in masks.iterdir() if _MASK.fullmatch(path.name)]
    for place in (folder, masks):
        if place.is_dir():
            ours += [path for path in place.iterdir() if _LEFT_BEHIND.fullmatch(path.name)]
    for path in ours:
        if path.is_file():
            path.unlink()
    with explained(folder):  # in place: the lock is on this very file
        (folder / MARK).write_text("".join(f"{json.dumps(name)}\n" for name in names))


def _of_images(folder: Path) -> list[Path]:
    """The masks and overlays of the images that the mark names."""
    found = []
    for line in (folder / MARK).read_text().splitlines():
        try:
            name = json.loads(line)
        except ValueError:  # a process that was killed wrote half of it
            continue
        if isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts:
            found += [folder / place / f"{name}.png" for place in ("masks", "overlays")]
    return found


def _results(folder: Path) -> list[Path]:
    """The results that a run replaces in a folder; empty folders do not count."""
    found = sorted(path for path in folder.iterdir() if _RESULTS.fullmatch(path.name))
    return [path for path in found if path.is_file() or any(path.iterdir())]
