"""One engine shared fairly by several sources: each waits for at most one frame of every other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .backend import Outputs
from .session import Session


class SharedEngine:
    """Opens sessions that all run on one backend, in that backend's own thread.

    Frames are run in the order in which they are requested. A source requests its next frame when it has the
    result of its last one, so all take turns. When the backend fails, the next session to be opened reopens
    it for all.

    Args:
        open_session: opens the session whose backend is shared.
    """

    def __init__(self, open_session: Callable[[], Session]) -> None:
        self._open_session = open_session
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._lock = threading.Lock()
        self._engine: _Engine | None = None

    def session(self) -> Session:
        """A session for one source; raises what opening one raises."""
        with self._lock:
            if self._engine is None or self._engine.failed:
                self._engine = _Engine(self._worker.submit(self._open_session).result())
            engine = self._engine
            engine.users += 1
        opened = engine.session
        return Session(
            _Turn(self, engine),
            opened.height,
            opened.width,
            threshold=opened.threshold,
            presence=opened.presence,
            note=opened.note,
        )

    def infer(self, engine: _Engine, frame: np.ndarray) -> Outputs:
        """The outputs for one frame, run when it is its turn; the caller owns them."""

        def turn() -> Outputs:
            try:
                return engine.session.backend.infer(frame).copy()
            except Exception:
                engine.failed = True
                raise

        return self._worker.submit(turn).result()

    def release(self, engine: _Engine) -> None:
        """Remove one source; the last one closes the engine."""
        with self._lock:
            engine.users -= 1
            last = engine.users == 0
            if last and engine is self._engine:
                self._engine = None
        if last:
            self._worker.submit(engine.session.close).result()

    def close(self) -> None:
        """End the thread, once every session is closed."""
        self._worker.shutdown(wait=False)


class _Engine:
    def __init__(self, session: Session) -> None:
        self.session = session
        self.users = 0
        self.failed = False


class _Turn:
    """The backend as seen by one source."""

    def __init__(self, shared: SharedEngine, engine: _Engine) -> None:
        backend = engine.session.backend
        self.name, self.precision, self.note = backend.name, backend.precision, backend.note
        self._shared = shared
        self._engine = engine
        self._closed = False

    def infer(self, frame: np.ndarray) -> Outputs:
        """See :meth:`SharedEngine.infer`."""
        return self._shared.infer(self._engine, frame)

    def close(self) -> None:
        """Leave the engine to the others. Closing twice is fine."""
        if not self._closed:
            self._closed = True
            self._shared.release(self._engine)
