"""One open connection to a live source, through OpenCV; and one that renders its frames itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ...errors import InputError
from ...images import MAX_PIXELS
from ...images.synthetic import frame as synthetic_frame
from ...optional import opencv

OPEN_TIMEOUT_MS = 5000
READ_TIMEOUT_MS = 5000


class Capture(Protocol):
    """An open connection.

    Attributes:
        fps: nominal frames per second, or None.
        endless: False if the connection ends by itself, so that its end is not a loss.
    """

    fps: float | None
    endless: bool

    def read(self) -> np.ndarray | None:
        """The next frame, an array that the caller owns; None when the connection is lost or has ended."""

    def release(self) -> None: ...


class OpenCVCapture:
    """A connection through ``cv2.VideoCapture``."""

    def __init__(self, title: str, remedy: str, *arguments: Any) -> None:
        """Open ``cv2.VideoCapture(*arguments)``; raise InputError, ending in ``remedy``, when it refuses."""
        cv2 = opencv()
        self._capture: Any = cv2.VideoCapture(*arguments)
        if not self._capture.isOpened():
            raise InputError(f"{title} does not open: {remedy}")
        self.fps = self._stated_fps()
        # A file behind an address or a pipeline says how long it is; what is live states none, or nonsense.
        self.endless = not 0 < self._capture.get(cv2.CAP_PROP_FRAME_COUNT) < 1 << 31

    def _stated_fps(self) -> float | None:
        fps = float(self._capture.get(opencv().CAP_PROP_FPS))
        return fps if 1 <= fps <= 480 else None  # streams state 90000 or 0 when they don't know

    def read(self) -> np.ndarray | None:
        """The next frame, or None when there is none within the time limit."""
        grabbed, image = self._capture.read()
        return image if grabbed else None

    def release(self) -> None:
        """Close the connection."""
        self._capture.release()


class Synthetic:
    """Rendered endoscopic frames at a steady rate; the picture moves, so that no two neighbours are equal."""

    def __init__(self, frames: int | None, fps: float = 25.0, height: int = 480, width: int = 640) -> None:
        self.fps: float | None = fps
        self.endless = frames is None
        self._left = frames
        self._period = 1 / fps
        self._next: float | None = None  # the clock starts with the first frame
        self._turn = 0
        self._scene = synthetic_frame(1, height, width + 64, polyps=1)[0][..., ::-1]

    def read(self) -> np.ndarray | None:
        """The next frame when its time has come."""
        if self._left is not None:
            if self._left == 0:
                return None
            self._left -= 1
        due = time.perf_counter() if self._next is None else self._next
        time.sleep(max(0.0, due - time.perf_counter()))
        self._next = max(due, time.perf_counter() - self._period) + self._period
        self._turn += 1
        shift = abs(self._turn % 128 - 64)
        return np.ascontiguousarray(self._scene[:, shift : shift + self._scene.shape[1] - 64])

    def release(self) -> None:
        """There is nothing to release."""


def stream(url: str) -> Capture:
    """An RTSP or HTTP stream through FFmpeg, which gives up after the time limits above."""
    cv2 = opencv()
    limits = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS),
    ]
    remedy = "is the server up, the address right, and the password accepted?"
    return OpenCVCapture(without_password(url), remedy, url, cv2.CAP_FFMPEG, limits)


def without_password(url: str) -> str:
    """The address as messages and files show it: server and path, without user, password and parameters.

    Cameras also accept passwords in the path and its parameters, so everything from there on is left out.
    """
    scheme, _, rest = url.partition("//")
    rest = rest.rpartition("@")[2]
    kept = re.split(r"[?;&]|/[^/?;&]*=", rest)[0]
    return f"{scheme}//{kept}" if kept == rest else f"{scheme}//{kept}/..."


def as_bgr(image: np.ndarray) -> np.ndarray:
    """A captured frame as uint8 (h, w, 3) BGR: grey and four channels are converted.

    Raises:
        InputError: empty, not 8 bits per channel, another number of channels, or too large.
    """
    cv2 = opencv()
    shape: tuple[int, ...] = getattr(image, "shape", ())
    if len(shape) not in (2, 3) or 0 in shape or image.dtype != np.uint8:
        raise InputError(f"a frame of {getattr(image, 'dtype', type(image).__name__)} {shape}")
    if shape[0] * shape[1] > MAX_PIXELS:
        raise InputError(
            f"a frame of {shape[1]} x {shape[0]}, more than {MAX_PIXELS // 1_000_000} megapixels"
        )
    convert: dict[int, Callable[[], np.ndarray]] = {
        1: lambda: cv2.cvtColor(image, cv2.COLOR_GRAY2BGR),
        3: lambda: image,
        4: lambda: cv2.cvtColor(image, cv2.COLOR_BGRA2BGR),
    }
    channels = 1 if len(shape) == 2 else shape[2]
    if channels not in convert:
        raise InputError(f"a frame of {channels} channels")
    return convert[channels]()
