"""A live source that recovers: it reads in its own thread, notices a stall, and reconnects."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from ...errors import InputError
from ..events import Events
from ..queues import BoundedQueue
from .captures import Capture, as_bgr
from .frame import Frame

STALL_S = 3.0
"""A connection without a frame for this long, in seconds, is dropped."""

FIRST_FRAME_S = 10.0
"""The same for the first frame of a connection: streams are opened and probed first."""

BACK_OFF_S = (0.5, 10.0)
"""Seconds to wait before reconnecting: the first value, doubled each time up to the second."""

CLOSE_S = 2.0
"""Seconds that the end waits for the current read. A longer one is abandoned."""

READER = "reader"
"""Name of the threads that read from a live source."""

MOST_ABANDONED = 4
"""While this many connections hang in a driver, no further one is made until one of them ends."""

MOST_BAD_FRAMES = 100
"""After this many unusable frames in a row the connection counts as lost."""


class LiveSource:
    """Frames as they arrive. Only the newest frame is kept for a slow reader.

    Args:
        title: its name in messages.
        connect: opens a connection, or raises InputError.
        events: is told of loss, stall and return.
        stall_s, first_frame_s, back_off_s: see :data:`STALL_S`, :data:`FIRST_FRAME_S`, :data:`BACK_OFF_S`.

    Raises:
        InputError: the first connection fails. Later ones are tried until :meth:`stop`.
    """

    live = True

    def __init__(
        self,
        title: str,
        connect: Callable[[], Capture],
        events: Events,
        *,
        stall_s: float = STALL_S,
        first_frame_s: float = FIRST_FRAME_S,
        back_off_s: tuple[float, float] = BACK_OFF_S,
    ) -> None:
        self.title = title
        self.count: int | None = None
        self.dropped = 0
        self.skipped = 0
        self.reconnects = 0
        self._connect = connect
        self._events = events
        self._stall_s = stall_s
        self._first_frame_s = first_frame_s
        self._back_off_s = back_off_s
        self._stop = threading.Event()
        self._read_before = 0
        self._abandoned: list[_Reader] = []
        self._began = time.perf_counter()
        first = connect()
        self.fps = first.fps
        self._reader = _Reader(lambda: first)

    def __iter__(self) -> Iterator[Frame]:
        """Frames until :meth:`stop`, or until a source that ends by itself has ended.

        Raises:
            InputError: it ended without any frame.
        """
        try:
            yield from self._frames()
        finally:
            self._let_go()

    def _frames(self) -> Iterator[Frame]:
        wait_s = self._back_off_s[0]
        lost_at: float | None = None
        while not self._stop.is_set():
            # A connection that is being made is slower than one that stands: given up as early as a
            # stall, a stream that takes longer to open would never come back.
            item = self._reader.frames.get(self._stall_s if self._reader.read else self._first_frame_s)
            if item is not None:
                if lost_at is not None:
                    self.reconnects += 1
                    self._events.add(f"{self.title}: back after {time.perf_counter() - lost_at:.1f} s")
                    lost_at, wait_s = None, self._back_off_s[0]
                number, captured, image = item
                index = self._read_before + number
                time_s = captured - self._began
                yield Frame(index, time_s, f"{index:06d}", image, bgr=True, captured=captured)
                del item, image
                continue
            if self._stop.is_set():
                break
            if self._reader.ended:
                if not self._read_before + self._reader.read:
                    raise InputError(
                        f"{self.title} ended without a frame that can be used "
                        f"({self.skipped + self._reader.skipped} could not): is it the right source?"
                    )
                break
            lost_at = lost_at or time.perf_counter()
            self._events.add(f"{self.title}: {self._reader.why()}; connecting again in {wait_s:g} s")
            self._let_go()
            self._stop.wait(wait_s)
            wait_s = min(2 * wait_s, self._back_off_s[1])
            self._abandoned = [reader for reader in self._abandoned if reader.alive]
            if not self._stop.is_set() and len(self._abandoned) < MOST_ABANDONED:
                self._reader = _Reader(self._connect)

    def stop(self) -> None:
        """End the iteration now, whatever the connection does."""
        self._stop.set()
        self._reader.frames.finish()

    def close(self) -> None:
        """Close the connection, in the thread that reads it, as soon as its last read returns."""
        self._stop.set()
        self._reader.leave()
        self._reader.join(CLOSE_S)

    def _let_go(self) -> None:
        """Abandon the reader, and take over what it counted."""
        reader = self._reader
        reader.leave()
        if reader not in self._abandoned:
            self._abandoned.append(reader)
        self.dropped += reader.frames.dropped
        self.skipped += reader.skipped
        self._read_before += reader.read
        reader.frames.dropped = reader.skipped = reader.read = 0


class _Reader:
    """Reads one connection in a thread. A read that never returns keeps only this thread."""

    def __init__(self, connect: Callable[[], Capture]) -> None:
        self.frames: BoundedQueue[tuple[int, float, np.ndarray]] = BoundedQueue(1, drop_oldest=True)
        self.read = 0
        self.skipped = 0
        self.ended = False
        self._failure = ""
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(connect,), name=READER, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread still runs, because the driver blocks in a read or in connecting."""
        return self._thread.is_alive()

    def leave(self) -> None:
        """Take no more frames; the connection is closed when the current read returns."""
        self._left.set()
        self.frames.finish()

    def join(self, timeout: float) -> None:
        """Wait for the thread's end."""
        self._thread.join(timeout)

    def why(self) -> str:
        """The reason why there was no frame."""
        return self._failure or "no frame arrives"

    def _read(self, connect: Callable[[], Capture]) -> None:
        try:
            capture = connect()
            try:
                self._follow(capture)
            finally:
                capture.release()
        except Exception as error:  # a driver may raise anything; the source connects again
            self._failure = str(error) or type(error).__name__
        finally:
            self.frames.finish()

    def _follow(self, capture: Capture) -> None:
        bad = 0
        while not self._left.is_set():
            image = capture.read()
            captured = time.perf_counter()
            if image is None:
                self._failure = "connection lost"
                self.ended = not capture.endless
                return
            try:
                usable = as_bgr(image)
                self.read += 1
                self.frames.put((self.read - 1, captured, usable))
                bad = 0
            except InputError as error:
                self.skipped += 1
                bad += 1
                if bad == MOST_BAD_FRAMES:
                    self._failure = f"{bad} frames in a row cannot be used ({error})"
                    return
