"""Ending in order: the first signal asks a run to stop, the second ends the program."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from ...console import err
from ...stream.sources.live import READER


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGINT or SIGTERM; after that they do again what they did before."""
    before: dict[int, Any] = {}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle(number: int, frame: FrameType | None) -> None:
        restore()
        try:
            err.print("stopping: closing what is being written (once more to leave at once)")
        finally:
            stop()

    for ending in (signal.SIGINT, signal.SIGTERM):
        before[ending] = signal.signal(ending, handle)
    try:
        yield
    finally:
        restore()


def leave(end: SystemExit) -> NoReturn:
    """End the program, also when a driver still holds a thread in a read that does not return.

    Python would end that thread inside the driver's code, which aborts the process when all is written.
    """
    if any(thread.name == READER for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)
    raise end
