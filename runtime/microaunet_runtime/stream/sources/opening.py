"""Sources that do not wait: cameras, streams, GStreamer pipelines, and a synthetic one."""

from __future__ import annotations

from ...errors import InputError
from ..events import Events
from . import cameras, captures, pipelines
from .decoded import DecodedVideo
from .files import ImageFiles, find_videos, open_files
from .frame import Source
from .live import LiveSource

KINDS = (
    "camera:N, 'camera:N?size=WxH&fourcc=MJPG&fps=N', rtsp://..., http://..., 'gst:...', synthetic[:FRAMES]"
)


def open_source(text: str, events: Events) -> Source:
    """The source that ``text`` names, live or from files.

    Raises:
        InputError: it names none, one that cannot be opened, or several videos.
        MissingDependencyError: it needs GStreamer and OpenCV has none.
    """
    if live := open_live(text, events):
        return live
    if videos := find_videos(text):
        raise InputError(f"{text} holds {len(videos)} videos: give one of them, such as {videos[0]}")
    return open_recorded(text)


def open_recorded(text: str) -> ImageFiles | DecodedVideo:
    """The recorded source that ``text`` names, whose frames wait to be read: files, or a pipeline of one.

    Raises:
        InputError: nothing is there, or it is nothing that can be read.
        MissingDependencyError: it needs GStreamer and OpenCV has none.
    """
    pipeline = _pipeline(text)
    return open_files(text) if pipeline is None else pipelines.PipelineFile(pipeline)


def open_live(text: str, events: Events) -> Source | None:
    """The live source that ``text`` names, or None if it names none (a pipeline of ``filesrc`` is not live).

    Raises:
        InputError: it names one that cannot be opened.
        MissingDependencyError: it needs GStreamer and OpenCV has none.
    """
    kind, colon, rest = text.partition(":")
    kind = kind.lower()
    if kind == "synthetic":
        if colon and not rest.isdecimal():
            raise InputError(f"{text!r}: give synthetic, or synthetic:FRAMES with a number")
        return LiveSource(text, lambda: captures.Synthetic(int(rest) if colon else None), events)
    if kind == "camera" and colon:
        number, settings = cameras.parse(rest)
        return LiveSource(f"camera:{number}", lambda: cameras.Camera(number, settings), events)
    if kind in ("rtsp", "rtsps", "http", "https") and rest.startswith("//"):
        return LiveSource(captures.without_password(text), lambda: captures.stream(text), events)
    if (pipeline := _pipeline(text)) is not None:
        if pipelines.is_file(pipeline):
            return None
        pipelines.check_pipeline(pipeline)
        return LiveSource("GStreamer pipeline", lambda: pipelines.live_pipeline(pipeline), events)
    if " ! " in text:
        raise InputError("--source looks like a GStreamer pipeline: write 'gst:' in front of it")
    return None


def _pipeline(text: str) -> str | None:
    kind, colon, rest = text.partition(":")
    return rest if kind.lower() == "gst" and colon else None
