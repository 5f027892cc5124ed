"""Sinks for files: masks, overlay images, overlay video, JSON lines. A file appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np

from ...errors import InputError
from ...files import explained, replacing
from ...images import write_image
from ...optional import opencv
from ..result import Result
from ..sources.frame import DEFAULT_FPS
from .encoders import count_frames, open_writer

# Left free on the disk, so that the current video can still be closed and stays playable.
RESERVE_BYTES = 16 << 20
_SPACE_CHECK_S = 1.0
_BLOCK = 1 << 16


class Sink(Protocol):
    """Takes results in order, from one thread.

    Attributes:
        title: what the sink writes and where, for messages.
        wants_overlay: it uses ``Result.overlay``.
    """

    title: str
    wants_overlay: bool

    def write(self, result: Result) -> None: ...

    def close(self) -> None:
        """Finish the open file. Closing twice is fine; a later ``write`` starts another one."""


class MaskImages:
    """One PNG per frame, 0 and 255, at the frame's size."""

    wants_overlay = False

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.title = f"masks in {folder}"

    def write(self, result: Result) -> None:
        """Write ``<name>.png``."""
        write_image(self.folder / f"{result.frame.name}.png", result.mask)

    def close(self) -> None:
        """Every file is already complete."""


class OverlayImages:
    """One PNG per frame with the overlay."""

    wants_overlay = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.title = f"overlays in {folder}"

    def write(self, result: Result) -> None:
        """Write ``<name>.png``."""
        assert result.overlay is not None
        image = result.overlay[..., ::-1] if result.frame.bgr else result.overlay
        write_image(self.folder / f"{result.frame.name}.png", np.ascontiguousarray(image))

    def close(self) -> None:
        """Every file is already complete."""


class JsonLines:
    """One JSON object per frame and line; see :meth:`Result.record`.

    Args:
        path: the file.
        append_live: write to ``path`` itself, line by line, so that a run that is killed loses nothing.
    """

    wants_overlay = False

    def __init__(self, path: Path, *, append_live: bool = False) -> None:
        self.path = path
        self.title = f"JSON lines in {path}"
        self._live = append_live
        self._stack = ExitStack()
        self._stream: IO[str] | None = None

    def write(self, result: Result) -> None:
        """Write one line."""
        with explained(self.path):
            if self._stream is None:
                self._stream = self._open()
            self._stream.write(json.dumps(result.record(), allow_nan=False) + "\n")
            if self._live:
                self._stream.flush()

    def close(self) -> None:
        """Finish the file."""
        self._stream = None
        with explained(self.path):
            self._stack.close()

    def _open(self) -> IO[str]:
        if self._live:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _end_at_line(self.path)
            return self._stack.enter_context(self.path.open("a", encoding="utf-8"))
        temporary = self._stack.enter_context(replacing(self.path))
        return self._stack.enter_context(temporary.open("w", encoding="utf-8"))


def _end_at_line(path: Path) -> None:
    """Cut off the incomplete line that a full disk leaves at the end of a file of lines."""
    if not path.is_file():
        return
    with path.open("r+b") as stream:
        end = stream.seek(0, os.SEEK_END)
        while end:  # from the end: a recording of hours is not read for its last line
            start = max(0, end - _BLOCK)
            stream.seek(start)
            line_end = stream.read(end - start).rfind(b"\n")
            if line_end >= 0:
                end = start + line_end + 1
                break
            end = start
        stream.truncate(end)


class LostFramesError(InputError):
    """A closed video turned out to lack ``frames`` frames that had been written to it."""

    def __init__(self, path: Path, frames: int) -> None:
        super().__init__(f"{path} could not be written completely: {frames} frames are lost")
        self.frames = frames


class OverlayVideo:
    """The overlays as video in ``<stem>.mp4``: H.264 from a board's encoder where it has one, else MPEG-4.

    A new file, ``<stem>-0002.mp4`` and so on, begins when the frame's size changes, after ``segment_s``
    seconds, and after a loss. A file gets its name when it is complete and was checked to play: whatever
    happens to the process, every file with its final name can be played.
    """

    wants_overlay = True

    def __init__(
        self,
        folder: Path,
        stem: str,
        fps: float | None,
        segment_s: float | None = None,
        reserve: int = RESERVE_BYTES,
    ) -> None:
        self.folder = folder
        self.title = f"overlay video {stem} in {folder}"
        self._stem = stem
        self._fps = _writable(fps or DEFAULT_FPS)
        self._segment_s = segment_s
        self._reserve = reserve
        self._segments = 0
        self._stack = ExitStack()
        self._writer: Any = None
        self._path = self._temporary = folder
        self._size = (0, 0)
        self._frames = 0
        self._begun_s = 0.0
        self._checked = -np.inf

    def write(self, result: Result) -> None:
        """Add one frame.

        Raises:
            InputError: no space left (what was written so far is kept), or the video cannot be written.
        """
        overlay = result.overlay
        assert overlay is not None
        cv2 = opencv()
        self._check_space()
        height, width = overlay.shape[:2]
        time_s = result.frame.time_s
        if self._writer is not None and (
            self._size != (width, height)
            or (self._segment_s and not 0 <= time_s - self._begun_s < self._segment_s)
        ):
            self.close()
        if self._writer is None:
            self._begin(width, height, time_s)
        image = overlay if result.frame.bgr else cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR)
        if width % 2 or height % 2:  # MPEG-4 wants even sides
            image = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        self._writer.write(image)
        self._frames += 1

    def close(self) -> None:
        """Finish the current file and give it its name.

        Raises:
            LostFramesError: it is not playable, so it was removed.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        playable = count_frames(self._temporary)
        if playable < self._frames:
            self._stack.__exit__(InputError, InputError(), None)
            raise LostFramesError(self._path, self._frames)
        with self._temporary.open("rb") as written:
            os.fsync(written.fileno())  # a name on a file that a power cut emptied would promise too much
        self._stack.close()

    def _begin(self, width: int, height: int, time_s: float) -> None:
        self._segments += 1
        numbered = self._segment_s is not None or self._segments > 1
        self._path = self.folder / (
            f"{self._stem}-{self._segments:04d}.mp4" if numbered else f"{self._stem}.mp4"
        )
        self._temporary = self._stack.enter_context(replacing(self._path))
        even = (width + width % 2, height + height % 2)
        writer = open_writer(self._temporary, self._fps, even)
        if writer is None:
            self._stack.__exit__(InputError, InputError(), None)
            raise InputError(
                f"OpenCV cannot write {self._path}: it has no MPEG-4 encoder; leave the overlay video out"
            )
        self._writer = writer
        self._size, self._frames, self._begun_s = (width, height), 0, time_s

    def _check_space(self) -> None:
        """Check the free space first, because OpenCV's writer does not report a full disk."""
        now = time.perf_counter()
        if now - self._checked < _SPACE_CHECK_S:
            return
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(self.folder).free < self._reserve:
                raise OSError(errno.ENOSPC, "no space left on device")
        self._checked = now


def _writable(fps: float) -> float:
    """``fps`` as MPEG-4 can state it: in parts of at most 65,535 a second."""
    return next(rounded for digits in (3, 2, 1, 0) if (rounded := round(fps, digits)) * 10**digits < 1 << 16)
