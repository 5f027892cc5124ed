"""Tracking: regions keep their identity from frame to frame by the overlap of their boxes.

A camera inside a body moves fast, so boxes are widened before their overlap is measured (buffered IoU: Yang
et al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by Buffering the
Matching Space", WACV 2023). There are a handful of regions in a frame: matching them takes microseconds, and
needs neither a motion model nor an assignment solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from ..images.regions import Box


@dataclass(frozen=True)
class Region(Box):
    """A box that is tracked.

    Attributes:
        id: counts the regions of a source from 1; the same for as long as the region is followed.
        frames: in how many frames it was seen, this one included.
    """

    id: int
    frames: int


@dataclass(frozen=True)
class Tracking:
    """The settings that decide when two boxes are the same region.

    Attributes:
        buffer: boxes are widened by this share of their size on each side.
        least_iou: widened boxes that overlap by less are two regions.
        memory_s: a region that was not seen for longer is forgotten.
        least_frames: a region counts as one of the source's when it was seen in so many frames.
    """

    buffer: float = 0.3
    least_iou: float = 0.2
    memory_s: float = 1.0
    least_frames: int = 3


@dataclass
class _Track:
    region: Region
    seen_s: float


class Tracker:
    """Tracks the regions of one source. Frames must come in order; a jump back in time starts again.

    Attributes:
        count: regions so far that were seen in at least ``least_frames`` frames.
    """

    def __init__(self, settings: Tracking | None = None) -> None:
        self.count = 0
        self._settings = settings or Tracking()
        self._tracks: list[_Track] = []
        self._last_id = 0

    def __call__(self, boxes: Sequence[Box], time_s: float) -> list[Region]:
        """The boxes of a frame seen at ``time_s``, in their order, as regions."""
        memory_s = self._settings.memory_s
        self._tracks = [track for track in self._tracks if 0 <= time_s - track.seen_s <= memory_s]
        matched = self._match(boxes)
        regions = []
        for number, box in enumerate(boxes):
            track = matched.get(number)
            if track is None:
                self._last_id += 1
                region = Region(**asdict(box), id=self._last_id, frames=1)
                self._tracks.append(_Track(region, time_s))
            else:
                region = Region(**asdict(box), id=track.region.id, frames=track.region.frames + 1)
                track.region, track.seen_s = region, time_s
            self.count += region.frames == self._settings.least_frames
            regions.append(region)
        return regions

    def _match(self, boxes: Sequence[Box]) -> dict[int, _Track]:
        """By box number its track: the pair that overlaps most first, each box and track once."""
        pairs = [
            (overlap, number, track)
            for number, box in enumerate(boxes)
            for track in self._tracks
            if (overlap := buffered_iou(box, track.region, self._settings.buffer)) >= self._settings.least_iou
        ]
        pairs.sort(key=lambda pair: (-pair[0], pair[2].region.id))
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, number, track in pairs:
            if number not in matched and track.region.id not in taken:
                matched[number] = track
                taken.add(track.region.id)
        return matched


def buffered_iou(one: Box, other: Box, buffer: float) -> float:
    """Intersection over union of two boxes, each widened by ``buffer`` of its size on each side."""
    width = _overlap(one.x, one.width, other.x, other.width, buffer)
    height = _overlap(one.y, one.height, other.y, other.height, buffer)
    both = width * height
    scale = (1 + 2 * buffer) ** 2
    return both / (scale * (one.width * one.height + other.width * other.height) - both)


def _overlap(start: float, size: float, other_start: float, other_size: float, buffer: float) -> float:
    end = min(start + size * (1 + buffer), other_start + other_size * (1 + buffer))
    return max(0.0, end - max(start - size * buffer, other_start - other_size * buffer))
