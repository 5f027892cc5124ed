"""A recorded video that one of OpenCV's decoders reads: every frame is delivered, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...images import MAX_PIXELS
from ...optional import opencv
from .captures import as_bgr
from .container import CUT_SHORT, DAMAGED, defect
from .frame import DEFAULT_FPS, Frame

WHOLE_SHARE = 0.9
"""Least share of the stated frames of an intact video: containers round, and some estimate."""


class DecodedVideo:
    """Frames of a video file, which wait until they are read."""

    live = False
    dropped = 0
    skipped = 0

    def __init__(self, path: Path, capture: Any) -> None:
        """Take ``capture``, a ``cv2.VideoCapture`` that has ``path`` open, as this object's own.

        Raises:
            InputError: it is too large, or without a frame.
        """
        self.title = str(path)
        self.paths = [path]
        self._capture = capture
        cv2 = opencv()
        width, height = (
            int(self._capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > MAX_PIXELS:
            self.close()
            raise InputError(
                f"{path} is {width} x {height}: more than {MAX_PIXELS // 1_000_000} megapixels a frame"
            )
        stated = float(self._capture.get(cv2.CAP_PROP_FPS))
        self._rate = stated if 0.1 <= stated <= 1000 else DEFAULT_FPS
        self.fps: float | None = self._rate
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.count: int | None = count if 0 < count < 1 << 31 else None
        grabbed, self._first = self._capture.read()
        if not grabbed:
            self.close()
            raise InputError(f"{path} holds no frame that can be decoded")

    def __iter__(self) -> Iterator[Frame]:
        """The frames, once only, each with the time that the file states.

        Raises:
            InputError: at the end, when the file is damaged or was cut short.
        """
        cv2 = opencv()
        began_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3
        index, time_s, steady, missing = 0, 0.0, 0, 0
        grabbed, image = True, self._first
        self._first = None
        while grabbed:
            yield Frame(index, time_s, f"{index:06d}", as_bgr(image), bgr=True)
            index += 1
            grabbed, image = self._capture.read()
            if grabbed:
                stated_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3 - began_s
                step = (stated_s - time_s) * self._rate  # in frames; some containers state no time
                steady += step <= 1.2
                missing += max(0, round(step) - 1)
                time_s = stated_s if step > 0 else time_s + 1 / self._rate
        self._check_whole(index, time_s, missing if steady >= WHOLE_SHARE * index - 1 else 0)

    def _check_whole(self, frames: int, reached_s: float, missing: int) -> None:
        """Raise InputError if frames are missing: a decoder takes damage for the end, or continues after it.

        Of the stated frames and the time reached both must say so, as either may be an estimate: fewer frames
        came, and the time ends early, or it jumps in a video of otherwise steady frames: over ``missing``.
        """
        if found := defect(self.paths[0]):
            of = f" of {self.count}" if self.count else ""
            raise InputError(f"{self.title} {found}: {frames}{of} frames could be decoded")
        if not self.count or frames >= WHOLE_SHARE * self.count:
            return
        if reached_s + 1 / self._rate < WHOLE_SHARE * self.count / self._rate:
            raise InputError(
                f"{self.title} ends at frame {frames} of {self.count}: it {DAMAGED} or {CUT_SHORT}"
            )
        if missing >= (self.count - frames) / 2:
            raise InputError(f"{self.title} {DAMAGED}: {frames} of {self.count} frames could be decoded")

    def stop(self) -> None:
        """Nothing to do: no frame is waited for."""

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        self._capture.release()
