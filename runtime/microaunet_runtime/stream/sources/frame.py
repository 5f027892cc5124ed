"""A frame, and what every source of frames offers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

DEFAULT_FPS = 25.0


@dataclass(frozen=True)
class Frame:
    """One frame of a source. The pixels belong to the frame: no later frame overwrites them.

    Attributes:
        index: counts what the source gave, from 0; a live source's dropped frames leave gaps.
        time_s: position in the source, seconds from its start.
        name: unique in the source, for files made from this frame; see :func:`output_names`.
        image: uint8 (h, w, 3).
        bgr: the channel order is blue, green, red.
        captured: ``time.perf_counter()`` when a live source gave the frame; None from a file.
    """

    index: int
    time_s: float
    name: str
    image: np.ndarray
    bgr: bool
    captured: float | None = None


class Source(Protocol):
    """A source of frames.

    Attributes:
        live: frames arrive whether or not they are read in time.
        count: how many frames there are, if that is known in advance.
        fps: frames per second, or None where frames have no time.
        title: how the source is called in messages.
        dropped: frames that arrived but were not read in time; files have none.
        skipped: frames that arrived but cannot be used; in a file this is an error instead.
    """

    live: bool
    count: int | None
    fps: float | None
    title: str
    dropped: int
    skipped: int

    def __iter__(self) -> Iterator[Frame]: ...

    def stop(self) -> None:
        """End soon instead of waiting for a next frame. From any thread."""

    def close(self) -> None:
        """Release everything that is open, from the iterating thread. Closing twice is fine."""
