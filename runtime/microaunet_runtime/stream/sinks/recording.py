"""A recording that can be switched on and off during a run."""

from __future__ import annotations

from ..result import Result
from .files import OverlayVideo


class Recording:
    """A video of overlays with a switch. Each time it is switched on a new file begins.

    Attributes:
        on: frames are written. Set from any thread; the current file is finished at the next frame, or at the
            end.
    """

    wants_overlay = True

    def __init__(self, video: OverlayVideo, *, on: bool) -> None:
        self.title = video.title
        self.on = on
        self._video = video

    def write(self, result: Result) -> None:
        """Add one frame, or finish the file when recording was switched off."""
        if self.on:
            self._video.write(result)
        else:
            self._video.close()

    def close(self) -> None:
        """Finish the current file."""
        self._video.close()
