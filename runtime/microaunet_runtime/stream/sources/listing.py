"""Which sources this machine has."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import MissingDependencyError
from ...optional import opencv

_V4L2 = Path("/sys/class/video4linux")


def cameras(folder: Path = _V4L2) -> dict[str, str]:
    """The names of the cameras that Linux knows, by what ``--source`` takes.

    A camera has further devices for metadata, which give no pictures, so only the first of each is listed.
    """
    found = {}
    for device in folder.glob("video*") if folder.is_dir() else ():
        number = re.fullmatch(r"video(\d+)", device.name)
        if number and _line(device / "index", "0") == "0":
            found[int(number[1])] = _line(device / "name", "unnamed")
    return {f"camera:{number}": found[number] for number in sorted(found)}


def readers() -> dict[str, bool]:
    """By name of each reader besides images, whether this OpenCV was built with it."""
    try:
        cv2 = opencv()
    except MissingDependencyError:
        return {}
    registry = cv2.videoio_registry
    wanted = {
        "cameras (V4L2)": cv2.CAP_V4L2,
        "videos and streams (FFmpeg)": cv2.CAP_FFMPEG,
        "pipelines (GStreamer)": cv2.CAP_GSTREAMER,
    }
    return {name: bool(registry.hasBackend(backend)) for name, backend in wanted.items()}


def _line(path: Path, otherwise: str) -> str:
    try:
        return path.read_text(errors="replace").strip() or otherwise
    except OSError:
        return otherwise
