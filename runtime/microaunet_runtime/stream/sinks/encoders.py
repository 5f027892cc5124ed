"""Writing video: by a board's hardware encoder where it has one that works, else MPEG-4 on the CPU."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from ...optional import opencv
from ..sources.ffmpeg import ffmpeg_name

# JetPack's GStreamer. An Orin Nano has the element but no encoder, so it is tried and not believed.
CONVERTER = "video/x-raw,format=BGRx ! nvvidconv ! video/x-raw(memory:NVMM),format=NV12"
ENCODER = "nvv4l2h264enc bitrate={bits} insert-sps-pps=true"

BITS_PER_PIXEL = 0.25  # of H.264 that is meant to be looked at again

_PROBE_FRAMES = 8
_PROBE_S = 15  # an encoder that takes longer for these hangs


def open_writer(path: Path, fps: float, size: tuple[int, int]) -> Any | None:
    """A ``cv2.VideoWriter`` for BGR frames, or None when none opens.

    Args:
        size: width and height, both even.
    """
    cv2 = opencv()
    if hardware_works():
        quoted = str(path.absolute()).replace("\\", "\\\\").replace('"', '\\"')
        pipeline = f'appsrc ! videoconvert ! {_encoding(size, fps)} ! filesink location="{quoted}"'
        writer = cv2.VideoWriter(pipeline, cv2.CAP_GSTREAMER, 0, fps, size)
        if writer.isOpened():
            return writer
    writer = cv2.VideoWriter(ffmpeg_name(path), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    return writer if writer.isOpened() else None


@cache
def hardware_works() -> bool:
    """Whether a short video written by the hardware encoder can be played; checked once per process."""
    cv2 = opencv()
    launch = shutil.which("gst-launch-1.0")
    if launch is None or not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.mp4"
        picture = "video/x-raw,width=320,height=240,framerate=25/1"
        source = f"videotestsrc num-buffers={_PROBE_FRAMES} ! {picture} ! videoconvert"
        pipeline = f"{source} ! {_encoding((320, 240), 25)} ! filesink location={path}"
        try:
            subprocess.run([launch, *pipeline.split()], capture_output=True, timeout=_PROBE_S, check=True)
        except (OSError, subprocess.SubprocessError):
            return False
        return count_frames(path) == _PROBE_FRAMES


def count_frames(path: Path) -> int:
    """The number of frames that a video states; 0 if it cannot be opened."""
    cv2 = opencv()
    capture = cv2.VideoCapture(ffmpeg_name(path), cv2.CAP_FFMPEG)
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
    capture.release()
    return count


def _encoding(size: tuple[int, int], fps: float) -> str:
    encoder = ENCODER.format(bits=int(BITS_PER_PIXEL * size[0] * size[1] * fps))
    return f"{CONVERTER} ! {encoder} ! h264parse ! qtmux"
