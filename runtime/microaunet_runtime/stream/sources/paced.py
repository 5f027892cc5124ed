"""A file played at its own speed, for people who watch it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from .frame import Frame, Source


class Paced:
    """Gives each frame of a file at its time; images, which have no time, come once a second.

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
        """The frames, each no earlier than its time."""
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
        """Stop waiting for the time of the next frame."""
        self._stopped.set()
        self._source.stop()

    def close(self) -> None:
        """Close the file."""
        self._source.close()
