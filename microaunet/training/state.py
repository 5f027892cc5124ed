"""The state of a run on disk: all that ``--resume`` needs, as tensors and plain values, no objects."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from microaunet_runtime import files
from microaunet_runtime.errors import InputError

FILE = "last.ckpt"
VERSION = 2
MOST_BYTES = 8 << 30


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the state as ``last.ckpt``, whole or not at all."""
    content = io.BytesIO()  # PyTorch's own writer has no clear error for a full disk
    torch.save({"version": VERSION, **state}, content)
    files.write_bytes(folder / FILE, content.getvalue())


def load(folder: Path, recipe: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """Read the state back.

    Args:
        folder: of the run.
        recipe: must equal the one that the run was started with.
        facts: what else a run depends on, by its name in messages; also compared.

    Raises:
        InputError: there is none, it is damaged or a pickle, or recipe or facts have changed.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(f"{path} does not exist: there is no run to resume; leave --resume out to start one")
    content = io.BytesIO(files.read_bytes(path, MOST_BYTES))
    try:
        _check(content)
        state = torch.load(content, map_location="cpu", weights_only=True)
    except Exception as error:  # what zipfile and torch raise for a damaged file has no common base
        raise InputError(
            f"{path} is damaged or not a state that microaunet-train wrote: start again in another --out"
        ) from error
    if not isinstance(state, dict) or state.get("version") != VERSION:
        raise InputError(f"{path} was written by another version: start again in another --out")
    if not all(isinstance(state.get(name), dict) for name in ("recipe", "facts")):
        raise InputError(f"{path} is not a state that microaunet-train wrote: start again in another --out")
    changed = [key for key in recipe if state["recipe"].get(key) != recipe[key]]
    if changed:
        raise InputError(
            f"{path} was started with another recipe ({changed[0]}: {state['recipe'].get(changed[0])!r}, now "
            f"{recipe[changed[0]]!r}): resume with the same, or choose another --out"
        )
    for name, value in facts.items():
        if state["facts"].get(name) != value:
            raise InputError(
                f"{path} was started with other {name}: resume with the same, or choose another --out"
            )
    return state


def _check(content: io.BytesIO) -> None:
    """Raise if a part differs from its CRC-32, which PyTorch writes but does not check."""
    with zipfile.ZipFile(content) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"{damaged} is damaged")
    content.seek(0)
