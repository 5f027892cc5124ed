"""A disk that fills and empties while a run writes to it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from microaunet_runtime.stream.sinks.files import RESERVE_BYTES

ROOM_BYTES = 64 << 20


class Disk(Protocol):
    """A folder on a disk that can be full.

    Attributes:
        kind: how it is made full, for the record.
    """

    folder: Path
    kind: str

    def crowd(self) -> None:
        """Leave less space than a recording keeps free for closing its file."""

    def fill(self) -> None:
        """Leave no space."""

    def empty(self) -> None:
        """Free all space again."""


class _Mounted:
    """A file system of its own in memory; a ballast takes the room."""

    kind = "tmpfs, filled by a ballast file"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def crowd(self) -> None:
        self._leave(RESERVE_BYTES * 3 // 4)

    def fill(self) -> None:
        self._leave(0)

    def empty(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def _leave(self, room: int) -> None:
        with self._ballast.open("ab") as stream:
            size = stream.tell()
            more = shutil.disk_usage(self.folder).free - room
            if more > 0:
                os.posix_fallocate(stream.fileno(), size, more)


class _Limited:
    """Without the right to mount one: this process may make no file larger than a page (``ulimit -f``)."""

    kind = "RLIMIT_FSIZE, lowered to 4 KiB"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def crowd(self) -> None:
        self.fill()

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, self._before[1]))

    def empty(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@contextmanager
def small_disk(folder: Path, more_bytes: int) -> Iterator[Disk]:
    """A disk at ``folder`` with :data:`ROOM_BYTES` and ``more_bytes`` of room, gone at the end.

    Must be entered in the main thread. SIGTERM also ends it: it raises SystemExit there.
    """
    folder.mkdir()
    size = f"size={ROOM_BYTES + more_bytes}"
    command = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)]
    with _unwinding_on_sigterm():
        try:
            if shutil.which("mount"):
                subprocess.run(command, capture_output=True, check=False)
            if os.path.ismount(folder):
                yield _Mounted(folder)
            else:
                disk = _Limited(folder)
                try:
                    yield disk
                finally:
                    disk.empty()
        finally:
            if os.path.ismount(folder):
                subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _unwinding_on_sigterm() -> Iterator[None]:
    """Run what cleans up when SIGTERM comes; by itself it ends a process at once."""

    def end(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the cleaning
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
