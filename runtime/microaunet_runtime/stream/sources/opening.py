"""Sources that do not wait: cameras, streams, GStreamer pipelines, and a synthetic one."""

from __future__ import annotations

from ...errors import InputError
from ..events import Events
from . import captures
from .files import find_videos, open_files
from .frame import Source
from .live import LiveSource

KINDS = "camera:N, rtsp://..., http://..., 'gst:...', synthetic[:FRAMES]"


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
    return open_files(text)


def open_live(text: str, events: Events) -> Source | None:
    """The live source that ``text`` names, or None when it names none.

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
        if not rest.isdecimal() or len(rest) > 3:
            raise InputError(f"{text!r}: give the camera's number, such as camera:0")
        return LiveSource(text, lambda: captures.camera(int(rest)), events)
    if kind in ("rtsp", "rtsps", "http", "https") and rest.startswith("//"):
        return LiveSource(captures.without_password(text), lambda: captures.stream(text), events)
    if kind == "gst" and colon:
        captures.check_pipeline(rest)
        return LiveSource("GStreamer pipeline", lambda: captures.gstreamer(rest), events)
    if " ! " in text:
        raise InputError("--source looks like a GStreamer pipeline: write 'gst:' in front of it")
    return None
