"""Writing files so that a reader never sees an incomplete one, and hashing their content."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError, reason


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes; no pipe or device is ever read.

    Raises:
        InputError: it is missing, a folder, a pipe or a device, larger than ``limit``, or cannot be read.
    """
    try:
        kind = path.stat().st_mode  # first, since opening alone can do something to a device
        if stat.S_ISDIR(kind):
            raise InputError(f"{path} is a folder, not a file")
        if not stat.S_ISREG(kind):
            raise InputError(f"{path} is a pipe, a device or a socket, not a file")
        # Not waiting for a writer, should a pipe have taken its place since.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as stream:
            content = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise InputError(f"{path} cannot be read: {reason(error)}") from error
    if len(content) > limit:
        raise InputError(f"{path} is larger than {limit >> 20} MiB: not a file this project wrote")
    return content


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the operating system's write errors on ``path`` into one sentence with a remedy.

    Raises:
        InputError: for every such error: no space, no permission, a long name, a broken disk, ``path`` below
            something that is not a folder.
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
        if error.errno == errno.EFBIG:
            raise InputError(
                f"cannot write {path}: it is larger than this disk or account allows (ulimit -f); "
                "raise that or choose another --out"
            ) from error
        raise InputError(f"cannot write {path}: {reason(error)}; choose another --out") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; on success it becomes ``path``, on any failure it is removed.

    The temporary name keeps the suffix, because writers of images and videos choose their format by it.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _begun(path, path.suffix, lambda name: os.close(os.open(name, _NEW, 0o666)))
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Like :func:`replacing`, for a folder: the old one at ``path`` stays until the new one is complete."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _begun(path, "", os.mkdir)
        try:
            yield temporary
            if path.exists():
                _exchange(temporary, path)
            else:
                temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _exchange(new: Path, path: Path) -> None:
    """Put ``new`` in the place of the folder at ``path``, which stays if that fails."""
    aside = _begun(path, ".old", os.mkdir)
    kept = aside / path.name
    try:
        path.rename(kept)
        try:
            new.rename(path)
        except BaseException:
            kept.rename(path)
            raise
    except BaseException:
        aside.rmdir()
        raise
    shutil.rmtree(aside)


_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL


def _begun(path: Path, suffix: str, make: Callable[[str], None]) -> Path:
    """A hidden file or folder beside ``path``, with the rights that the umask leaves (mkstemp's has none).

    The name is shorter than the longest that a disk takes, however long that of ``path`` is.
    """
    while True:
        name = path.parent / f".{path.stem[:40]}.{secrets.token_hex(4)}{suffix}"
        try:
            make(str(name))
        except FileExistsError:
            continue
        return name


@contextmanager
def locked(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock on the file ``path`` while the context lasts; the file is made if it is missing.

    Raises:
        InputError: ``busy``, when another holds it; or it cannot be written.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("a")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(busy) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # some network file systems have no locks
                raise
        yield


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
        InputError: the file cannot be read, is larger than ``limit`` bytes, or is not JSON.
    """
    content = read_bytes(path, limit)
    try:
        return json.loads(content.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}): write it again or restore it") from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")


def user_folder(variable: str, *otherwise: str) -> Path:
    """This user's folder for one kind of file: what ``variable`` names, else ``otherwise`` below the home.

    Relative paths in such a variable are ignored (XDG Base Directory Specification).

    Raises:
        InputError: the user has no home folder, and the variable names none.
    """
    given = Path(os.environ.get(variable, ""))
    if given.is_absolute():
        return given
    try:
        return Path.home().joinpath(*otherwise)
    except RuntimeError as error:
        raise InputError(f"this user has no home folder: set HOME, or {variable}, to one") from error
