"""Frames from files: an image, a folder or glob of images, a video. Every frame is delivered, in order."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ...errors import InputError
from ...images import EXTENSIONS, find_images, read_image
from ...optional import opencv
from .container import check_video
from .decoded import DecodedVideo
from .ffmpeg import ffmpeg_name
from .frame import Frame

VIDEO_EXTENSIONS = frozenset(
    {".mp4", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".webm", ".wmv", ".ts"}
)


def output_names(paths: Sequence[Path]) -> dict[Path, str]:
    """A unique name for the results of each file.

    The file's stem, or its whole name where the stem is another's stem or name in its folder; below the name
    of that folder where the files come from several.
    """
    common = os.path.commonpath([path.absolute().parent for path in paths]) if paths else ""
    stems = Counter(path.with_suffix("") for path in paths)
    names, whole = {}, set(paths)
    for path in paths:
        alone = stems[path.with_suffix("")] == 1 and path.with_suffix("") not in whole
        name = path.stem if alone else path.name
        names[path] = (path.absolute().parent.relative_to(common) / name).as_posix()
    return names


class ImageFiles:
    """Image files in natural order: ``frame2`` before ``frame10``."""

    live = False
    count: int | None
    fps: float | None = None
    dropped = 0
    skipped = 0

    def __init__(self, paths: list[Path], title: str) -> None:
        """Raise InputError when ``paths`` is empty."""
        if not paths:
            raise InputError(f"{title} holds no image ({', '.join(sorted(EXTENSIONS))})")
        self.paths = sorted(paths, key=natural)
        self.count = len(paths)
        self.title = title

    def __iter__(self) -> Iterator[Frame]:
        """Read one image after the other; raise InputError at one that cannot be read."""
        names = output_names(self.paths)
        for index, path in enumerate(self.paths):
            yield Frame(index, float(index), names[path], read_image(path), bgr=False)

    def stop(self) -> None:
        """Nothing to do: no image is waited for."""

    def close(self) -> None:
        """Nothing to do: no file stays open between images."""


class VideoFile(DecodedVideo):
    """A video file, decoded by OpenCV."""

    def __init__(self, path: Path) -> None:
        """Open ``path``.

        Raises:
            InputError: missing, not a video that OpenCV decodes, an image, text or a playlist, too large,
                without a frame, or of a name that is not UTF-8.
        """
        if not path.is_file():
            raise InputError(f"{path} is not a file" if path.exists() else f"{path} does not exist")
        check_video(path)
        cv2 = opencv()
        # FFmpeg by name: no pattern ("%d") is read into the path.
        capture = cv2.VideoCapture(ffmpeg_name(path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise InputError(
                f"{path} does not open as a video: not a video, damaged, or a codec OpenCV lacks"
            )
        super().__init__(path, capture)


def open_files(text: str) -> ImageFiles | VideoFile:
    """The source that ``text`` names: an image, a folder or glob of images, or a video file.

    Raises:
        InputError: nothing is there, or it cannot be read.
    """
    path = Path(text)
    if path.is_dir():
        return ImageFiles(find_images(path), text)
    if not path.exists() and glob.has_magic(text):
        return ImageFiles(matching(text, EXTENSIONS), text)
    if path.suffix.lower() in EXTENSIONS:
        if not path.is_file():
            raise InputError(f"{path} does not exist")
        return ImageFiles([path], text)
    return VideoFile(path)


def find_videos(text: str) -> list[Path]:
    """The video files of a folder or glob, in natural order; empty when ``text`` is neither.

    Raises:
        InputError: a folder holds both images and videos.
    """
    path = Path(text)
    if path.is_dir():
        videos = [p for p in path.iterdir() if p.suffix.lower() in VIDEO_EXTENSIONS and p.is_file()]
        videos = [p for p in videos if not p.name.startswith(".")]
        if videos and (images := find_images(path)):
            raise InputError(
                f"{path} holds {len(images)} images and {len(videos)} videos: "
                f"choose with a glob, such as '{path}/*{videos[0].suffix}'"
            )
    elif not path.exists() and glob.has_magic(text):
        videos = matching(text, VIDEO_EXTENSIONS)
    else:
        return []
    return sorted(videos, key=natural)


def matching(pattern: str, extensions: frozenset[str]) -> list[Path]:
    """The files that a glob finds, with one of ``extensions``."""
    found = (Path(name) for name in glob.glob(pattern, recursive=True))  # noqa: PTH207 (an absolute pattern is fine)
    return [path for path in found if path.suffix.lower() in extensions and path.is_file()]


def natural(path: Path) -> list[tuple[int, str]]:
    """A sort key in which numbers inside names count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", str(path))]
