"""The record of the engines that this machine built, outside every bundle: no engine from elsewhere is run.

    $XDG_STATE_HOME/microaunet/engines/<sha256>.json        (~/.local/state when the variable is not set)

An engine contains code for the GPU, and its hash only shows that it is unchanged. The author of a bundle can
put a matching hash beside any engine, but not into the user's own folder on this machine.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ...errors import InputError
from ...files import explained, read_json, user_folder, write_json


def folder() -> Path:
    """The folder of the record: one file for each engine, named by the engine's hash."""
    return user_folder("XDG_STATE_HOME", ".local", "state") / "microaunet" / "engines"


def add(sha256: str, key: str) -> None:
    """Note that this machine built the engine of these bytes from the facts that ``key`` names.

    Raises:
        InputError: the record cannot be written.
    """
    write_json(folder() / f"{sha256}.json", {"key": key})


def holds(sha256: str, key: str) -> bool:
    """Whether this machine built the engine of these bytes from the facts that ``key`` names."""
    try:
        found = read_json(folder() / f"{sha256}.json", limit=1 << 16)
    except (InputError, OSError):  # a hash that is no hash may be any path
        return False
    return bool(found == {"key": key})


def check_writable() -> None:
    """Check that :func:`add` can work.

    Raises:
        InputError: it cannot; the message names the folder.
    """
    with explained(folder()):
        folder().mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder()).close()
