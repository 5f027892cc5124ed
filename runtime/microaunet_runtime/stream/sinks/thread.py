"""A sink in its own thread, so that one that blocks or fails does not hold up the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from ..events import Events
from ..queues import BoundedQueue
from ..report import SinkReport
from ..result import Result
from .files import LostFramesError, Sink

RETRY_S = 5.0
"""Seconds after a failure until the sink is tried again."""


class SinkThread:
    """Feeds a sink from a bounded queue.

    Args:
        live: the queue drops its oldest result rather than block the pipeline, and after a failure the sink
            is tried again. Otherwise the pipeline waits, and the first failure goes to ``on_error``.
        events: is told of a failure and of the recovery.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        live: bool,
        on_error: Callable[[BaseException], None],
        events: Events,
    ) -> None:
        self.sink = sink
        self.report = SinkReport()
        self._live = live
        self._on_error = on_error
        self._events = events
        self._queue: BoundedQueue[Result] = BoundedQueue(8 if live else 2, drop_oldest=live)
        self._failed = 0
        self._thread = threading.Thread(target=self._work, name=f"sink {sink.title}", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Hand over one result."""
        self._queue.put(result)
        self.report.lost = self._failed + self._queue.dropped

    def finish(self, timeout: float | None) -> None:
        """Let the sink write what is queued and then close it, within ``timeout`` seconds."""
        self._queue.finish()
        self._thread.join(timeout)
        self.report.lost = self._failed + self._queue.dropped
        if self._thread.is_alive():
            self.report.lost += self._queue.abandon() + 1  # what waits, and what it is at
            self.report.error = (
                self.report.error or f"{self.sink.title}: blocked; the results not yet written are lost"
            )

    def _work(self) -> None:
        resting_until: float | None = None
        for result in self._queue:
            if resting_until is not None and (not self._live or time.perf_counter() < resting_until):
                self._failed += 1
                continue
            try:
                self.sink.write(result)
                self.report.written += 1
            except Exception as error:  # a sink that fails, however it fails, must not end inference
                self._failed += 1
                if resting_until is None:  # a new outage, not the one that is known
                    self._events.add(f"{self.sink.title}: {error}")
                self._note(error)
                self._close(told=True)
                resting_until = time.perf_counter() + RETRY_S
                continue
            if resting_until is not None:
                resting_until = None
                self._events.add(f"{self.sink.title}: writes again, {self._failed} results were lost")
        self._close(told=False)

    def _close(self, told: bool) -> None:
        """Close the sink; a failure is a separate event unless one was already reported (``told``)."""
        try:
            self.sink.close()
        except Exception as error:
            if not told:
                self._events.add(f"{self.sink.title}: {error}")
            self._note(error)

    def _note(self, error: Exception) -> None:
        self.report.error = self.report.error or f"{self.sink.title}: {error}"
        if isinstance(error, LostFramesError):
            self.report.written -= error.frames
            self._failed += error.frames
        if not self._live:
            self._on_error(error)
