"""The newest picture, shared by all viewers: drawn once and compressed once; no viewer waits for another."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..optional import opencv
from ..stream.result import Result

LARGEST = (1280, 720)
"""Pictures are scaled to fit this size: a page shows no more, and the network has other traffic."""

JPEG_QUALITY = 80


class Picture:
    """One result as a browser shows it. Used in the server's loop only."""

    def __init__(self, number: int, result: Result) -> None:
        self.number = number
        self.result = result
        self._jpegs: dict[bool, asyncio.Future[bytes]] = {}

    async def jpeg(self, pool: ThreadPoolExecutor, *, overlay: bool) -> bytes:
        """The picture as JPEG, with or without the overlay; made in ``pool`` at the first request."""
        if overlay not in self._jpegs:
            loop = asyncio.get_running_loop()
            self._jpegs[overlay] = loop.run_in_executor(pool, encode, self.result, overlay)
        return await asyncio.shield(self._jpegs[overlay])  # a viewer that leaves must not take it from others


class LatestFrame:
    """Holds the newest result; results that no viewer had time for are dropped.

    :meth:`put` and :meth:`close` are called from any thread, the rest in the server's loop.

    Attributes:
        closed: no further result will come.
        viewers: how many wait for pictures or look at one.
    """

    def __init__(self) -> None:
        self.closed = False
        self.viewers = 0
        self._latest: Picture | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    @property
    def latest(self) -> Picture | None:
        """The newest picture, if there was any."""
        return self._latest

    def bind(self) -> None:
        """Take the running loop as the one in which viewers wait."""
        self._loop = asyncio.get_running_loop()

    def put(self, result: Result) -> None:
        """Replace what is held."""
        number = self._latest.number + 1 if self._latest else 1
        self._latest = Picture(number, result)
        if self.viewers:
            self._wake()

    def close(self) -> None:
        """Say that no further result will come, and wake those who wait."""
        self.closed = True
        self._wake()

    async def after(self, number: int, timeout: float) -> Picture | None:
        """The newest picture once it is newer than ``number``; the same one, or None, after ``timeout`` s."""
        changed = self._changed
        if not self.closed and (self._latest is None or self._latest.number <= number):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(changed.wait(), timeout)
        return self._latest

    def _wake(self) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            loop.call_soon_threadsafe(self._announce)
        except RuntimeError:  # the loop has ended, so no viewer is waiting
            self._loop = None

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def encode(result: Result, overlay: bool) -> bytes:
    """A result as JPEG, scaled down to fit :data:`LARGEST`."""
    cv2 = opencv()
    image = result.overlay if overlay and result.overlay is not None else result.frame.image
    height, width = image.shape[:2]
    scale = min(1.0, LARGEST[0] / width, LARGEST[1] / height)
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if not result.frame.bgr:
        image = np.ascontiguousarray(image[..., ::-1])
    _, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(content.tobytes())
