"""Sensitivity and specificity per frame, with and without polyps, over the operating point.

A frame is *shown* something when its presence reaches the operating point and a pixel passes the threshold.
Specificity is the share of polyp-free frames that are shown nothing. Sensitivity is the share of polyp frames
that are shown, and on which at least one polyp is found: half of its pixels are marked, as everywhere here
(:data:`~.metrics.FOUND`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .dataset import Pair
from .evaluate import Evaluation, Row, evaluate
from .metrics import auc, interval

CURVE_POINTS = 101

Seer = Callable[[np.ndarray], tuple[np.ndarray, float]]
"""From a frame, uint8 (h, w, 3) RGB of any size, to its probability, float32 (H, W), and its presence."""


@dataclass(frozen=True)
class SeenFrame:
    """The network's output for one frame, compared with its mask.

    Attributes:
        presence: 0..1.
        area: share of the frame above the threshold, whatever the presence.
        size: of its polyps, see :func:`~.metrics.size_bin`; ``none`` without one.
        found: at least one polyp is marked, whatever the presence.
        dice: of the mask with the ground truth, whatever the presence.
    """

    presence: float
    area: float
    size: str = "none"
    found: bool = False
    dice: float = 0.0

    @property
    def level(self) -> float:
        """The highest operating point at which something is shown; -1 when nothing ever is."""
        return self.presence if self.area else -1.0

    @staticmethod
    def of(row: Row, presence: float) -> SeenFrame:
        """A scored frame with its presence."""
        area = (row.tp + row.fp) / (row.width * row.height)
        return SeenFrame(presence, area, row.size, row.polyps_found > 0, row.dice)


def evaluate_seen(
    see: Seer,
    pairs: Sequence[Pair],
    threshold: float,
    *,
    source: str = "",
    pranet: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Evaluation, list[SeenFrame]]:
    """Score frames with masks; also what the network made of each, in the same order.

    Args:
        threshold, source, pranet, advance: as of :func:`~.evaluate.evaluate`.

    Raises:
        InputError, MissingDependencyError: as :func:`~.evaluate.evaluate`.
    """
    said: list[float] = []

    def predict(image: np.ndarray) -> np.ndarray:
        probability, presence = see(image)
        said.append(presence)
        return probability

    evaluation = evaluate(predict, pairs, threshold, source=source, pranet=pranet, advance=advance)
    return evaluation, list(map(SeenFrame.of, evaluation.rows, said))


def see_polyp_free(see: Seer, images: Iterable[np.ndarray], threshold: float) -> list[SeenFrame]:
    """The network's output for frames without a polyp, uint8 (h, w, 3) RGB each."""
    return [
        SeenFrame(presence, float((probability > threshold).mean()))
        for probability, presence in map(see, images)
    ]


def presence_summary(frames: Sequence[SeenFrame], operating_point: float) -> dict[str, Any]:
    """The figures of both kinds of frame at ``operating_point``, as JSON; see docs/json.md.

    Means are {mean, low, high}. ``polyp_free`` and ``polyps`` are there when there are such frames, ``auc``
    and ``curve`` when there are both.
    """
    polyps = [frame for frame in frames if frame.size != "none"]
    free = [frame for frame in frames if frame.size == "none"]
    summary: dict[str, Any] = {"operating_point": operating_point}
    if free:
        shown = [frame.level >= operating_point for frame in free]
        areas = [frame.area * one for frame, one in zip(free, shown, strict=True)]
        summary["polyp_free"] = {
            "frames": len(free),
            "clean": len(free) - sum(shown),
            "specificity": interval([not one for one in shown]),
            "area": interval(areas),
            "area_without_operating_point": interval([frame.area for frame in free]),
        }
    if polyps:
        summary["polyps"] = _of_polyps(polyps, operating_point)
        summary["small_polyps"] = _of_polyps([p for p in polyps if p.size == "small"], operating_point)
    if polyps and free:
        summary["auc"] = auc(*(np.array([frame.presence for frame in kind]) for kind in (polyps, free)))
        summary["curve"] = curve(frames)
    return summary


def _of_polyps(polyps: Sequence[SeenFrame], operating_point: float) -> dict[str, Any]:
    shown = [frame.level >= operating_point for frame in polyps]
    found = [frame.found and one for frame, one in zip(polyps, shown, strict=True)]
    return {
        "frames": len(polyps),
        "found": sum(found),
        "sensitivity": interval(found),
        "dice": interval([frame.dice for frame in polyps]),
        "dice_shown": interval([frame.dice * one for frame, one in zip(polyps, shown, strict=True)]),
    }


def curve(frames: Sequence[SeenFrame]) -> list[dict[str, float]]:
    """Sensitivity and specificity at :data:`CURVE_POINTS` operating points, lowest first.

    The points are spread evenly over the polyp-free frames ordered by presence, where specificity changes.
    """
    free = np.sort([frame.level for frame in frames if frame.size == "none"])
    polyp = [frame for frame in frames if frame.size != "none"]
    hits = np.sort([frame.level for frame in polyp if frame.found])
    spread = np.quantile(free, np.linspace(0, 1, CURVE_POINTS), method="higher")
    points = np.unique(np.concatenate([[0.0], np.nextafter(np.maximum(spread, 0), np.inf)]))
    return [
        {
            "presence": float(point),
            "sensitivity": float((len(hits) - np.searchsorted(hits, point)) / len(polyp)),
            "specificity": float(np.searchsorted(free, point) / len(free)),
        }
        for point in points
    ]


def point_of_specificity(polyp_free: Sequence[SeenFrame], share: float) -> float:
    """The lowest operating point at which at least ``share`` of polyp-free frames are shown nothing."""
    levels = np.sort([frame.level for frame in polyp_free])
    allowed = int((1 - share) * len(levels) + 1e-9)  # so many may be shown something
    highest_clean = levels[len(levels) - allowed - 1]
    return max(0.0, float(np.nextafter(highest_clean, np.inf)))
