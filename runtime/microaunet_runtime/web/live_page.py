"""The run as the page sees it: a sink that keeps the newest result, and the actions of the buttons."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..images import write_image
from ..stream.events import Events
from ..stream.operating_point import OperatingPoint
from ..stream.result import Result
from ..stream.sinks.recording import Recording
from .slot import LatestFrame
from .status import Status

TICK_S = 0.25
"""Seconds between two updates of the page's numbers."""


class LivePage:
    """A sink for the page, whose server reads ``frames`` and ``status``.

    Args:
        title: of the source.
        weights: what runs, for people.
        folder: snapshots go into ``snapshots`` below it.
        events: of the run.
        operating_point: what the page may move.
        recording: what the page may switch; None when there is none.
        period_s: seconds between two frames of the source.
    """

    title = "live page"
    wants_overlay = True

    def __init__(
        self,
        title: str,
        weights: str,
        folder: Path,
        events: Events,
        operating_point: OperatingPoint,
        recording: Recording | None,
        period_s: float,
    ) -> None:
        self.frames = LatestFrame()
        self._status = Status(events, period_s, TICK_S)
        self._source = title
        self._weights = weights
        self._folder = folder
        self._events = events
        self._point = operating_point
        self._recording = recording
        self._snapshot_lock = threading.Lock()

    def write(self, result: Result) -> None:
        """Take a result in place of the previous one."""
        self._status.add(result)
        self.frames.put(result)

    def close(self) -> None:
        """The page stays until its server ends: a sink that failed and rests is closed too."""

    def history(self) -> list[float | None]:
        """See :meth:`Status.history`."""
        return self._status.history()

    def tick(self) -> dict[str, Any]:
        """The page's present figures; see :meth:`Status.tick`."""
        point = self._point
        return {
            **self._status.tick(),
            "source": self._source,
            "weights": self._weights,
            "operating_point": {"value": round(point.value, 4), "least": point.least, "most": point.most},
            "recording": None if self._recording is None else self._recording.on,
            "viewers": self.frames.viewers,
            "ended": self.frames.closed,
        }

    def set_operating_point(self, value: float) -> None:
        """Move the operating point; raise InputError when ``value`` is out of its range."""
        self._point.move(value)
        self._events.add(f"operating point set to presence {value:g} on the live page")

    def record(self, on: bool) -> None:
        """Begin or end recording; raise InputError when this run has none."""
        if self._recording is None:
            raise InputError("this source is not recorded as a video")
        if self._recording.on != on:
            self._recording.on = on
            self._events.add(f"recording {'started' if on else 'stopped'} on the live page")

    def snapshot(self) -> tuple[str, bytes]:
        """Write the newest picture, with its overlay, as PNG at full size.

        Returns:
            The file's name and its bytes.

        Raises:
            InputError: there is no picture yet, or no space.
        """
        latest = self.frames.latest
        if latest is None:
            raise InputError("there is no picture yet")
        result = latest.result
        image = result.frame.image if result.overlay is None else result.overlay
        now = time.time()
        name = f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}{now % 1 * 1e3:03.0f}Z.png"
        path = self._folder / "snapshots" / name
        with self._snapshot_lock:
            write_image(path, np.ascontiguousarray(image[..., ::-1]) if result.frame.bgr else image)
            content = path.read_bytes()
        self._events.add(f"snapshot {name} of frame {result.frame.index}")
        return name, content
