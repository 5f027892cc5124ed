"""A file at the speed of its own clock, for people who watch it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from .frame import Frame, Source


class Paced:
    """Gives the frames of a file when their time has come; images, which have none, one a second.

    When inference is slower than the file, the file plays slower: none of its frames is dropped.
    """

    live = False

    def __init__(self, source: Source) -> None:
        self.count = source.count
        self.fps = source.fps
        self.title = source.title
        self.dropped = source.dropped
        self.skipped = source.skipped
        self._source = source
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """The frames, each not before its time."""
        began = time.perf_counter()
        for frame in self._source:
            early_s = began + frame.time_s - time.perf_counter()
            if early_s > 0:
                self._stopped.wait(early_s)
            else:
                began -= early_s  # late: what follows keeps its distance to this frame
            if self._stopped.is_set():
                return
            yield frame
            del frame

    def stop(self) -> None:
        """Wait for no frame's time any longer."""
        self._stopped.set()
        self._source.stop()

    def close(self) -> None:
        """Close the file."""
        self._source.close()
