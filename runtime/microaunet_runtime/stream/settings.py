"""How frames are segmented: the settings behind the command's options and the library's arguments."""

from __future__ import annotations

from dataclasses import dataclass

from ..bundle import Bundle
from ..errors import InputError
from ..images.field_of_view import ViewFinder
from ..inference.session import Session, check_operating_point, open_session
from .sources.frame import Source
from .stabilise import Stabiliser


@dataclass(frozen=True)
class StreamSettings:
    """The settings of a run, whatever its source.

    Attributes:
        backend, precision, threshold, threads, url: see :func:`~microaunet_runtime.open_session`.
        presence: the operating point, replaces the bundle's; None for the bundle's.
        stabilise: smooth masks over time.
        crop_view: work inside the lit picture, without black borders.
    """

    bundle: Bundle
    backend: str = "auto"
    precision: str | None = None
    threshold: float | None = None
    presence: float | None = None
    threads: int = 1
    stabilise: bool = False
    crop_view: bool = False
    url: str | None = None

    def __post_init__(self) -> None:
        """Raise InputError for a threshold or a presence out of range."""
        check_operating_point(self.threshold, self.presence)

    @property
    def mask_threshold(self) -> float:
        """The probability above which a pixel is part of a mask."""
        return self.bundle.manifest.threshold if self.threshold is None else self.threshold

    @property
    def operating_point(self) -> float:
        """The presence from which a frame's regions are shown: the requested one, else the bundle's."""
        if self.presence is not None:
            return self.presence
        manifest = self.bundle.manifest
        return manifest.stabilised_presence if self.stabilise else manifest.presence

    def open_session(self) -> Session:
        """A session on the bundle; raises as :func:`~microaunet_runtime.open_session` does."""
        return open_session(
            self.bundle,
            backend=self.backend,
            precision=self.precision,
            threshold=self.threshold,
            presence=self.operating_point,
            threads=self.threads,
            url=self.url,
        )

    def check(self, source: Source) -> None:
        """Raise InputError when ``source`` cannot be segmented with these settings."""
        if self.stabilise and not follows_time(source):
            raise InputError("stabilising needs frames that follow each other in time: give a video")

    def view(self, source: Source) -> ViewFinder | None:
        """The finder of the field of view in the frames of ``source``, or None."""
        return ViewFinder(every_frame=not follows_time(source)) if self.crop_view else None

    def stabiliser(self) -> Stabiliser | None:
        """The stabiliser that makes the masks of a source, or None."""
        return Stabiliser(self.mask_threshold, self.operating_point) if self.stabilise else None


def follows_time(source: Source) -> bool:
    """Whether the frames of ``source`` follow each other in time, as those of a folder of images do not."""
    return source.live or source.fps is not None
