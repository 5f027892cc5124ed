"""Writing files so that a reader never sees half of one, and naming what a file holds."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's write errors on ``path`` into one sentence with a remedy.

    Raises:
        InputError: no space left, no permission, or ``path`` lies below something that is no folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"no space left while writing {path}: free some or choose another --out"
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise InputError(
                f"cannot write {path}: permission denied; choose a folder you can write to"
            ) from error
        if error.errno in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
            raise InputError(
                f"cannot write {path}: {str(error.strerror).lower()}; choose another --out"
            ) from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success it becomes ``path``, on any failure it is removed.

    The temporary name keeps the suffix, because writers of images and videos choose their format by it.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)  # mkstemp makes it private
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Like :func:`replacing`, for a folder: what was at ``path`` goes only once the new one is complete."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            temporary.chmod(0o755)
            if path.exists():
                aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
                path.rename(aside / path.name)
                temporary.rename(path)
                shutil.rmtree(aside)
            else:
                temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all. NaN and infinity are refused (not JSON)."""
    text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_bytes(path, text.encode(errors="backslashreplace"))  # a file name need not be UTF-8


def read_json(path: Path, limit: int = 64 << 20) -> Any:
    """Read JSON from ``path``.

    Raises:
        InputError: the file is missing, larger than ``limit`` bytes, or not JSON.
    """
    try:
        if path.stat().st_size > limit:
            raise InputError(f"{path} is larger than {limit >> 20} MiB: not a file this project wrote")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise InputError(f"{path} is a folder, not a JSON file") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): write it again or restore it") from error
