"""How frames are segmented: what the command's options and the library's arguments both become."""

from __future__ import annotations

from dataclasses import dataclass

from ..bundle import Bundle
from ..errors import InputError
from ..images.field_of_view import ViewFinder
from ..inference.session import Session, open_session
from .sources.frame import Source
from .stabilise import Stabiliser


@dataclass(frozen=True)
class StreamSettings:
    """The settings of a run, whatever its source.

    Attributes:
        backend, precision, threshold, threads: see :func:`~microaunet_runtime.open_session`.
        presence: replaces the bundle's, for stabilised masks; None for the bundle's.
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

    def __post_init__(self) -> None:
        """Raise InputError for a presence out of range, below the threshold, or without stabilisation."""
        if self.presence is None:
            return
        if not (self.stabilise and 0 < self.presence < 1):
            raise InputError(
                f"presence {self.presence}: give a probability between 0 and 1, with --stabilise "
                "(in Python, stabilise=True)"
            )
        if self.presence < self.mask_threshold:
            raise InputError(f"presence {self.presence} is below the threshold {self.mask_threshold:g}")

    @property
    def mask_threshold(self) -> float:
        """The probability above which a pixel is part of a mask."""
        return self.bundle.manifest.threshold if self.threshold is None else self.threshold

    @property
    def region_presence(self) -> float:
        """What a stabilised region must pass to appear: as asked, else the bundle's.

        With a raised threshold it is at least that, as no mask shows less.
        """
        own = self.bundle.manifest.presence if self.presence is None else self.presence
        return max(own, self.mask_threshold)

    def open_session(self) -> Session:
        """Open the bundle; raises as :func:`~microaunet_runtime.open_session` does."""
        return open_session(
            self.bundle,
            backend=self.backend,
            precision=self.precision,
            threshold=self.threshold,
            threads=self.threads,
        )

    def check(self, source: Source) -> None:
        """Raise InputError when ``source`` cannot be segmented with these settings."""
        if self.stabilise and not follows_time(source):
            raise InputError("stabilising needs frames that follow each other in time: give a video")

    def view(self, source: Source) -> ViewFinder | None:
        """What finds the field of view in the frames of ``source``, if anything."""
        return ViewFinder(every_frame=not follows_time(source)) if self.crop_view else None

    def stabiliser(self) -> Stabiliser | None:
        """What makes the masks from the probabilities of a source, if anything."""
        return Stabiliser(self.mask_threshold, self.region_presence) if self.stabilise else None


def follows_time(source: Source) -> bool:
    """Whether the frames of ``source`` follow each other in time, as those of a folder of images do not."""
    return source.live or source.fps is not None
