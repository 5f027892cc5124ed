"""The result of one frame, as the sinks get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .sources.frame import Frame
from .tracking import Region


@dataclass(frozen=True)
class Result:
    """One frame with its mask. Sinks share it: none may change its arrays.

    Attributes:
        frame: the frame as the source gave it.
        mask: uint8 (h, w) at the frame's size, 1 inside a polyp, else 0.
        presence: how sure the network is that the frame shows a polyp at all, 0..1.
        area: pixels of the mask.
        share: ``area`` over the pixels of the view.
        regions: the mask's connected regions, largest first, followed over frames that follow in time.
        region_count: regions of the source so far; see :class:`~.tracking.Tracker`. Of this frame alone where
            frames do not follow in time.
        overlay: uint8 (h, w, 3) in the frame's channel order; None when no sink wants it.
        latency_ms: ``preprocess``, ``inference``, ``postprocess``, ``overlay`` and ``end_to_end``: from
            capture until the overlay is drawn (live), or the time spent on the frame, without waiting for
            sinks (files).
        stale: the frame was older than the limit when it was shown; the overlay says so.
        lost: frames of the source that have no result so far because a server was gone.
    """

    frame: Frame
    mask: np.ndarray
    presence: float
    area: int
    share: float
    regions: Sequence[Region]
    region_count: int
    overlay: np.ndarray | None
    latency_ms: dict[str, float]
    stale: bool = False
    lost: int = 0

    def record(self) -> dict[str, Any]:
        """The facts without the pictures, ready for JSON."""
        return {
            "index": self.frame.index,
            "time_s": round(self.frame.time_s, 6),
            "name": self.frame.name,
            "presence": round(self.presence, 6),
            "polyp_area_px": self.area,
            "polyp_area_share": self.share,
            "boxes": [asdict(region) for region in self.regions],
            "region_count": self.region_count,
            "latency_ms": {stage: round(value, 4) for stage, value in self.latency_ms.items()},
            "stale": self.stale,
            "lost": self.lost,
        }
