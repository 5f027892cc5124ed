"""Loading a graph and running it for the first time, within a time limit: it may be untrusted."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ..errors import InputError

LIMIT_S = 60.0  # the shipped networks take milliseconds, a U-Net at 256 x 256 a third of a second
_STOPS_S = 5.0


def watched(work: Callable[[], None], source: str, stop: Callable[[], None]) -> None:
    """The result of ``work``, done in its own thread so that signals still work.

    Args:
        source: names the graph in errors.
        stop: makes ``work`` end soon; called after :data:`LIMIT_S` seconds, or when a signal ends the wait.

    Raises:
        InputError: it took longer. What cannot be stopped stays behind in its thread.
        Exception: whatever ``work`` raised.
    """
    failed: list[BaseException] = []
    ended = threading.Event()

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    threading.Thread(target=guarded, name="first inference", daemon=True).start()
    try:
        ended.wait(LIMIT_S)
    finally:
        late = not ended.is_set()
        if late:
            stop()
    if late:
        ended.wait(_STOPS_S)
        raise InputError(
            f"{source} gave no answer to its first frame within {LIMIT_S:g} s: use a smaller network or more "
            "--threads, and only bundles that you trust"
        )
    if failed:
        raise failed[0]
