"""A sink in a thread of its own, so that one that blocks or fails holds up nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import MicroAUNetError
from .queues import BoundedQueue
from .result import Result
from .sinks import Sink

RETRY_S = 5.0
"""After a failure the sink is left alone for so long, then tried again."""


@dataclass
class SinkReport:
    """What became of a sink's results.

    Attributes:
        written: results written.
        lost: results that the sink could not take: it failed, or it was so slow that its queue overflowed.
        error: the first failure in one sentence, or empty.
    """

    written: int = 0
    lost: int = 0
    error: str = ""


class SinkThread:
    """Feeds a sink from a bounded queue.

    Args:
        live: the queue drops its oldest result rather than hold up the pipeline, and after a failure the sink
            is tried again. Otherwise the pipeline waits, and the first failure goes to ``on_error``.
    """

    def __init__(
        self, sink: Sink, *, live: bool, on_error: Callable[[BaseException], None], retry_s: float = RETRY_S
    ) -> None:
        self.sink = sink
        self.report = SinkReport()
        self._live = live
        self._on_error = on_error
        self._retry_s = retry_s
        self._queue: BoundedQueue[Result] = BoundedQueue(8 if live else 2, drop_oldest=live)
        self._failed = 0
        self._thread = threading.Thread(target=self._work, name=f"sink {sink.title}", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Hand over one result."""
        self._queue.put(result)
        self.report.lost = self._failed + self._queue.dropped

    def finish(self, timeout: float | None) -> bool:
        """Let the sink write what is queued and close; False when that takes longer than ``timeout`` s."""
        self._queue.finish()
        self._thread.join(timeout)
        self.report.lost = self._failed + self._queue.dropped
        if self._thread.is_alive():
            self._queue.abandon()
            self.report.error = (
                self.report.error or f"{self.sink.title}: blocked; what it had not written is lost"
            )
            return False
        return True

    def _work(self) -> None:
        rest_until = -1.0
        for result in self._queue:
            if (self._failed and not self._live) or time.perf_counter() < rest_until:
                self._failed += 1
                continue
            try:
                self.sink.write(result)
                self.report.written += 1
            except (MicroAUNetError, OSError) as error:
                self._failed += 1
                self._note(error)
                self._close()
                rest_until = time.perf_counter() + self._retry_s
            except BaseException as error:
                self._failed += 1
                self._queue.abandon()
                self._note(error)
                self._on_error(error)
                break
        self._close()

    def _close(self) -> None:
        try:
            self.sink.close()
        except Exception as error:
            self._note(error)

    def _note(self, error: BaseException) -> None:
        self.report.error = self.report.error or f"{self.sink.title}: {error}"
        if not self._live:
            self._on_error(error)
