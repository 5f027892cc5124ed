"""From a frame to its mask: field of view, session, stabilisation, and what to do when the backend fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, MicroAUNetError, ServerGoneError
from ..images.field_of_view import View, ViewFinder
from ..inference.session import Session
from .events import Events
from .operating_point import OperatingPoint
from .outage import Outage
from .sources.frame import Frame
from .stabilise import Stabiliser

FORGIVEN_AFTER = 1500
"""After this many frames without a failure, a minute at 25 per second, an earlier failure is forgotten."""


@dataclass(frozen=True)
class Segmented:
    """A frame with its mask, on its way to presentation.

    Attributes:
        mask: uint8 (h, w) of 0 and 1 at the frame's size.
        presence: how sure the network is that the frame shows a polyp at all, 0..1.
        view_pixels: pixels of the field of view.
        latency_ms: ``preprocess``, ``inference`` and ``postprocess``.
        ready: ``time.perf_counter()`` when the mask was ready.
        backend: name and precision of what made it.
        lost: frames of the source that were lost so far because a server was gone.
    """

    frame: Frame
    mask: np.ndarray
    presence: float
    view_pixels: int
    latency_ms: dict[str, float]
    ready: float
    backend: str
    lost: int


class Segmenter:
    """Segments one source's frames in order, in one thread.

    When the backend fails, the session is reopened and the frame repeated. A second failure is final,
    unless it comes :data:`FORGIVEN_AFTER` frames later: failures weeks apart must not end a recording.

    When a server is gone, it is tried again until it is back. Frames of files wait for that; those of a live
    source are lost, because what they show is over by then.

    Args:
        open_session: opens the session, now and after a failure.
        view, stabiliser: what to do besides running the session, if anything.
        events: learns of another frame size and of failures.
        operating_point: read at every frame; None for what session and stabiliser were made with.
        stopping: when it is set, no frame waits for a server any longer.

    Attributes:
        failures: frames at which the backend failed.
        outages: how often a server was gone.
        lost: frames without a mask because of that.
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        view: ViewFinder | None,
        stabiliser: Stabiliser | None,
        events: Events,
        operating_point: OperatingPoint | None = None,
        stopping: threading.Event | None = None,
    ) -> None:
        self.failures = self.outages = self.lost = 0
        self._since_failure = 0
        self._open_session = open_session
        self._session: Session | None = open_session()
        self._outage: Outage | None = None
        self._lost_before = 0
        self._stopping = stopping or threading.Event()
        self._view = view
        self._stabiliser = stabiliser
        self._events = events
        self._operating_point = operating_point
        self._size: tuple[int, ...] = ()
        self._seen: View | None = None

    def __call__(self, frame: Frame) -> Segmented | None:
        """The mask of one frame; None when it is lost because a server is gone.

        Raises:
            InputError: the frame itself cannot be used; or a server came back that serves something else.
            GateError: a server came back that gives other answers.
            MicroAUNetError: the backend failed for the second time in a short while; the message says why.
        """
        size = frame.image.shape
        if self._stabiliser and self._size not in ((), size):
            self._events.add(f"frames are now {size[1]} x {size[0]}: stabilisation starts again")
            self._stabiliser.reset()
        self._size = size
        while session := self._opened(frame):
            try:
                segmented = self._segment(frame, session)
                self._since_failure += 1
                return segmented
            except ServerGoneError as error:
                self._gone(error)
            except InputError:
                raise
            except Exception as error:  # engines raise what they like; all of it means the same here
                self._failed(frame, session, error)
        self.lost += 1
        return None

    def close(self) -> None:
        """Close the session. A failure to close it is only noted: the earlier failure says more."""
        session, self._session = self._session, None
        try:
            if session:
                session.close()
        except Exception as error:
            self._events.add(f"the session could not be closed properly ({error})")

    def _opened(self, frame: Frame) -> Session | None:
        """The session, opened again if need be; None when ``frame`` is lost to an outage."""
        while self._session is None:
            if self._outage:
                rest_s = self._outage.rest_s
                if (rest_s and frame.captured is not None) or self._stopping.wait(rest_s):
                    return None
            try:
                self._session = self._open_session()
            except ServerGoneError as error:
                self._gone(error)
        if self._outage:
            lost = f", {self.lost - self._lost_before} frames lost" if self.lost > self._lost_before else ""
            self._events.add(f"the server is back after {self._outage.lasted_s:.1f} s{lost}")
            self._outage, self._lost_before = None, self.lost
        return self._session

    def _segment(self, frame: Frame, session: Session) -> Segmented:
        image = frame.image
        started = time.perf_counter()
        view = self._view(image) if self._view else None
        if self._stabiliser and view != self._seen:
            self._stabiliser.reset()  # what was smoothed has another geometry
        self._seen = view
        if self._operating_point:
            session.presence = self._operating_point.value
        if self._operating_point and self._stabiliser:
            self._stabiliser.presence = self._operating_point.value
        found = time.perf_counter()
        prediction = session.run(view.cut(image) if view else image, bgr=frame.bgr)
        done = time.perf_counter()
        mask = prediction.mask
        if self._stabiliser:
            self._stabiliser(prediction.probability, prediction.presence, frame.time_s)
            mask = self._stabiliser.mask(*mask.shape)
        if view:
            mask = view.place(mask, *image.shape[:2])
        ready = time.perf_counter()
        latency_ms = dict(prediction.latency_ms)
        latency_ms["preprocess"] += (found - started) * 1e3
        latency_ms["postprocess"] += (ready - done) * 1e3
        backend = f"{session.backend.name} {session.backend.precision}"
        pixels = view.pixels if view else mask.size
        return Segmented(frame, mask, prediction.presence, pixels, latency_ms, ready, backend, self.lost)

    def _gone(self, error: ServerGoneError) -> None:
        if not self._outage:
            self.outages += 1
            self._outage = Outage()
            self._close_for_another()
        self._events.add(f"{error}; connecting again in {self._outage.failed():g} s")

    def _failed(self, frame: Frame, session: Session, error: Exception) -> None:
        self.failures += 1
        backend = session.backend
        what = f"{backend.name} {backend.precision} failed at frame {frame.index} ({error})"
        if self.failures > 1 and self._since_failure < FORGIVEN_AFTER:
            raise MicroAUNetError(f"{what}, although it was reopened after an earlier failure") from error
        self._since_failure = 0
        self._events.add(f"{what}: reopening it")
        self._close_for_another()

    def _close_for_another(self) -> None:
        self.close()
        if self._stabiliser:
            self._stabiliser.reset()
