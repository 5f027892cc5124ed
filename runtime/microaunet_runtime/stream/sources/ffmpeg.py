"""Names of video files for FFmpeg."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError


def ffmpeg_name(path: Path) -> str:
    """The name of ``path`` for OpenCV's video code: absolute, so that no part of it is read as a protocol.

    Raises:
        InputError: the name is not UTF-8, on which OpenCV crashes.
    """
    name = str(path.absolute())
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise InputError(f"{shown}: the name is not UTF-8, which video needs: rename it") from error
    return name
