"""Events of a run: a stream lost and back, another format, a backend reopened."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

KEPT = 1000
"""The number of events that are kept, the latest; a run of weeks must not fill the memory."""


class Events:
    """A log that several threads write.

    Args:
        show: is called with each event's sentence as it happens. Whatever it raises is ignored: a full
            disk or a closed terminal must not end the run that the messages are about.
    """

    def __init__(self, show: Callable[[str], None] = lambda what: None) -> None:
        self.count = 0
        self._show = show
        self._began = time.perf_counter()
        self._kept: deque[tuple[float, str]] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, what: str) -> None:
        """Record that ``what`` happened now."""
        with self._lock:
            self.count += 1
            self._kept.append((time.perf_counter() - self._began, what))
        with contextlib.suppress(Exception, SystemExit):  # rich leaves the program on a closed pipe
            self._show(what)

    def record(self) -> list[dict[str, Any]]:
        """The events kept, oldest first: ``time_s`` since the log began, and ``what``."""
        with self._lock:
            return [{"time_s": round(time_s, 3), "what": what} for time_s, what in self._kept]
