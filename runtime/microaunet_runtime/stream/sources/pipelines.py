"""GStreamer pipelines: live ones, and those of ``filesrc``, by which a board's own decoder reads a file."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import InputError, MissingDependencyError
from ...optional import opencv
from .captures import Capture, OpenCVCapture
from .container import check_video
from .decoded import DecodedVideo

_REMEDY = "try it with gst-launch-1.0, with fakesink in place of appsink"


def is_file(pipeline: str) -> bool:
    """Whether a pipeline reads a file, so that its frames wait to be read instead of being dropped."""
    return pipeline.split()[:1] == ["filesrc"]


def live_pipeline(pipeline: str) -> Capture:
    """A connection through a live pipeline; see :func:`check_pipeline`."""
    return OpenCVCapture("the GStreamer pipeline", _REMEDY, pipeline, opencv().CAP_GSTREAMER)


class PipelineFile(DecodedVideo):
    """A file through a pipeline, as fast as its frames are taken and without a loss."""

    def __init__(self, pipeline: str) -> None:
        """Open it.

        Raises:
            MissingDependencyError: this OpenCV was built without GStreamer.
            InputError: as in :func:`check_pipeline`; the file is missing; its appsink would drop frames; it
                does not open.
        """
        check_pipeline(pipeline)
        found = re.search(r'\blocation=(?:"([^"]*)"|(\S+))', pipeline)
        path = Path(found[1] or found[2]) if found else None
        if path is None or not path.is_file():
            raise InputError(f"a pipeline of filesrc needs location=FILE: {path or 'none'} is not a file")
        check_video(path)
        sink = pipeline.rpartition("!")[2]
        if re.search(r"\bdrop=(true|1|yes)\b", sink, re.IGNORECASE):
            raise InputError("drop=true loses frames of a file: leave it out of appsink")
        # Left to itself, an appsink gives frames at the speed of their recording, and keeps any number.
        defaults = {"sync": "false", "max-buffers": "4"}
        added = "".join(f" {name}={value}" for name, value in defaults.items() if f"{name}=" not in sink)
        cv2 = opencv()
        capture = cv2.VideoCapture(pipeline + added, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise InputError(f"the GStreamer pipeline of {path} does not open: {_REMEDY}")
        super().__init__(path, capture)


def check_pipeline(pipeline: str) -> None:
    """Check that a pipeline can run here, gives frames to this program, and sends them nowhere else.

    Raises:
        MissingDependencyError: this OpenCV was built without GStreamer.
        InputError: no appsink, or another sink.
    """
    last = pipeline.split("!")[-1].split()
    # Of every word, as branches put elements in the middle of a part ("t. filesink location=/x").
    sinks = [word for word in pipeline.split() if re.search(r"sink\d*$", word) and "=" not in word]
    if sinks != ["appsink"] or last[:1] != ["appsink"]:
        raise InputError(
            "a GStreamer source must end in one appsink and hold no other sink, such as "
            "'gst:v4l2src ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1'"
        )
    cv2 = opencv()
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise MissingDependencyError(
            "this OpenCV was built without GStreamer (pip's opencv-python never has it): use the system's "
            "(apt install python3-opencv, on a Jetson JetPack's own) in a virtual environment with "
            "--system-site-packages, or give a file, a camera:N or a stream address"
        )
