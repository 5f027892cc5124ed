"""Orderly stop: the first signal asks a run to stop, the second ends the program."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ...console import err


@contextmanager
def stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGINT or SIGTERM; then restore the earlier handlers."""
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
