"""The time while a server is gone: it is tried again as a camera that was unplugged."""

from __future__ import annotations

import time

from .sources.live import BACK_OFF_S


class Outage:
    """One outage, from the first failure on; the waits between attempts are :data:`BACK_OFF_S`."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._due = self._began
        self._wait_s = BACK_OFF_S[0]

    @property
    def lasted_s(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self._began

    @property
    def rest_s(self) -> float:
        """Seconds until the next attempt, 0 when it is due."""
        return max(self._due - time.perf_counter(), 0.0)

    def failed(self) -> float:
        """Note that an attempt failed; returns the seconds to wait before the next one."""
        wait_s = self._wait_s
        self._due = time.perf_counter() + wait_s
        self._wait_s = min(2 * wait_s, BACK_OFF_S[1])
        return wait_s
