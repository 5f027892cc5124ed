"""V4L2 cameras, in the requested mode: ``camera:0?size=1920x1080&fourcc=MJPG&fps=60``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from ...errors import InputError
from ...images import MAX_PIXELS
from ...optional import opencv
from .captures import OpenCVCapture

EXAMPLE = "camera:0, or 'camera:0?size=1920x1080&fourcc=MJPG&fps=60' with any of the three"


@dataclass(frozen=True)
class CameraSettings:
    """The requested mode of a camera; None leaves the choice to the camera.

    Attributes:
        size: width and height in pixels.
        fourcc: the format that it sends, e.g. ``MJPG``: over USB the only one that reaches 1080p at 60.
        fps: frames per second.
    """

    size: tuple[int, int] | None = None
    fourcc: str | None = None
    fps: float | None = None


def parse(text: str) -> tuple[int, CameraSettings]:
    """The number and the settings of ``0?size=1920x1080&fourcc=MJPG&fps=60``, each setting at most once.

    Raises:
        InputError: the text says something else.
    """
    number, question, query = text.partition("?")
    refused = InputError(f"'camera:{text}': give {EXAMPLE}")
    if not re.fullmatch(r"[0-9]{1,3}", number):
        raise refused
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    patterns = {"size": r"([1-9]\d{0,4})x([1-9]\d{0,4})", "fourcc": r"[ -~]{4}", "fps": r"\d{1,3}(\.\d+)?"}
    if (question and not pairs) or len(given) < len(pairs):
        raise refused
    if any(name not in patterns or not re.fullmatch(patterns[name], value) for name, value in given.items()):
        raise refused
    width, height = map(int, given["size"].split("x")) if "size" in given else (0, 0)
    fps = float(given["fps"]) if "fps" in given else None
    if width * height > MAX_PIXELS or fps == 0:
        raise refused
    return int(number), CameraSettings((width, height) if width else None, given.get("fourcc"), fps)


class Camera(OpenCVCapture):
    """The camera ``/dev/video<number>``. One that does not deliver the requested mode is refused."""

    def __init__(self, number: int, settings: CameraSettings) -> None:
        """Open it.

        Raises:
            InputError: the camera does not open, or gives another size, format or rate.
        """
        cv2 = opencv()
        device = f"/dev/video{number}"
        remedy = f"is it plugged in (ls {device}), used by another program, or not yours to read?"
        super().__init__(f"camera:{number}", remedy, number, cv2.CAP_V4L2)
        asked: dict[int, float] = {}
        if settings.fourcc:  # first: sizes and rates depend on it
            asked[cv2.CAP_PROP_FOURCC] = cv2.VideoWriter_fourcc(*settings.fourcc)
        if settings.size:
            asked[cv2.CAP_PROP_FRAME_WIDTH], asked[cv2.CAP_PROP_FRAME_HEIGHT] = settings.size
        if settings.fps:
            asked[cv2.CAP_PROP_FPS] = settings.fps
        for what, value in asked.items():
            self._capture.set(what, value)
        # A rate is a fraction inside the camera: 60 may come back as 59.94.
        if any(abs(self._capture.get(what) - value) > 0.5 for what, value in asked.items()):
            gives = self._mode()
            self.release()
            raise InputError(
                f"camera:{number} gives {gives} instead of the requested mode: "
                f"v4l2-ctl --device {device} --list-formats-ext lists what it can"
            )
        self.fps = self._stated_fps()

    def _mode(self) -> str:
        cv2 = opencv()
        code = int(self._capture.get(cv2.CAP_PROP_FOURCC))
        fourcc = code.to_bytes(4, "little", signed=code < 0).decode("ascii", "replace")
        width, height, fps = (
            self._capture.get(what)
            for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS)
        )
        return f"{width:.0f}x{height:.0f} {fourcc} at {fps:g} frames a second"
