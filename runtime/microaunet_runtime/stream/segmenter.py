"""From a frame to its mask: field of view, session, stabilisation, and what to do when the backend fails."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, MicroAUNetError
from ..images.field_of_view import View, ViewFinder
from ..inference.session import Session
from .events import Events
from .operating_point import OperatingPoint
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
    """

    frame: Frame
    mask: np.ndarray
    presence: float
    view_pixels: int
    latency_ms: dict[str, float]
    ready: float
    backend: str


class Segmenter:
    """Segments one source's frames in order, in one thread.

    When the backend fails, the session is reopened and the frame repeated. A second failure is final,
    unless it comes :data:`FORGIVEN_AFTER` frames later: failures weeks apart must not end a recording.

    Args:
        open_session: opens the session, now and after a failure.
        view, stabiliser: what to do besides running the session, if anything.
        events: learns of another frame size and of failures.
        operating_point: read at every frame; None for what session and stabiliser were made with.
    """

    def __init__(
        self,
        open_session: Callable[[], Session],
        view: ViewFinder | None,
        stabiliser: Stabiliser | None,
        events: Events,
        operating_point: OperatingPoint | None = None,
    ) -> None:
        self.failures = 0
        self._since_failure = 0
        self._open_session = open_session
        self._session = open_session()
        self._view = view
        self._stabiliser = stabiliser
        self._events = events
        self._operating_point = operating_point
        self._size: tuple[int, ...] = ()
        self._seen: View | None = None

    def __call__(self, frame: Frame) -> Segmented:
        """The mask of one frame.

        Raises:
            InputError: the frame itself cannot be used.
            MicroAUNetError: the backend failed for the second time in a short while; the message says why.
        """
        size = frame.image.shape
        if self._stabiliser and self._size not in ((), size):
            self._events.add(f"frames are now {size[1]} x {size[0]}: stabilisation starts again")
            self._stabiliser.reset()
        self._size = size
        while True:
            try:
                segmented = self._segment(frame)
                self._since_failure += 1
                return segmented
            except InputError:
                raise
            except Exception as error:  # engines raise what they like; all of it means the same here
                self._reopen(frame, error)

    def close(self) -> None:
        """Close the session. A failure to close it is only noted: the earlier failure says more."""
        try:
            self._session.close()
        except Exception as error:
            self._events.add(f"the session could not be closed properly ({error})")

    def _segment(self, frame: Frame) -> Segmented:
        image, session = frame.image, self._session
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
        return Segmented(frame, mask, prediction.presence, pixels, latency_ms, ready, backend)

    def _reopen(self, frame: Frame, error: Exception) -> None:
        self.failures += 1
        backend = self._session.backend
        what = f"{backend.name} {backend.precision} failed at frame {frame.index} ({error})"
        if self.failures > 1 and self._since_failure < FORGIVEN_AFTER:
            raise MicroAUNetError(f"{what}, although it was reopened after an earlier failure") from error
        self._since_failure = 0
        self._events.add(f"{what}: reopening it")
        self.close()
        self._session = self._open_session()
        if self._stabiliser:
            self._stabiliser.reset()
