"""Boxes of what is shown against boxes of polyps: precision, recall, F1 at an IoU of 0.5, and AP50.

A *shown* box is the bounding box of a region that a frame shows at the operating point. Shown boxes of a
frame are taken largest region first. Each is a hit when its IoU with a polyp's box that no other has taken is
at least 0.5, and takes the one it overlaps most. All others are false alarms.

AP50 ranks the shown boxes of all frames by presence, and within a frame by area, and is the area under
precision over recall, where precision is the highest at that recall or above (all points, as PASCAL VOC since
2010). With an operating point of 0 it is over all regions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MicroAUNetError
from ..images.regions import find_boxes
from .box_set import BoxedImage
from .evaluate import write_rows
from .metrics import interval

IOU = 0.5

Shower = Callable[[np.ndarray], tuple[np.ndarray, float]]
"""From a frame, uint8 (h, w, 3) RGB, to what is shown on it, a mask uint8 (h, w), and its presence."""


@dataclass(frozen=True)
class BoxRow:
    """The boxes of one image: polyps, shown, and how many of the shown are hits."""

    stem: str
    width: int
    height: int
    presence: float
    polyps: int
    shown: int
    hits: int


@dataclass(frozen=True)
class ShownBox:
    """One shown box: what it is ranked by, and whether it is a hit."""

    presence: float
    area: int
    hit: bool


@dataclass(frozen=True)
class BoxEvaluation:
    """The result of an evaluation of boxes: a row per image, and every shown box."""

    rows: list[BoxRow]
    shown: list[ShownBox]

    def write_csv(self, path: Path) -> None:
        """Write one line per image."""
        write_rows(path, [asdict(row) for row in self.rows])

    @cached_property
    def summary(self) -> dict[str, Any]:
        """All figures as JSON; means are {mean, low, high}, null where there is nothing to count."""
        polyps, shown, hits = (
            np.array([getattr(row, name) for row in self.rows]) for name in ("polyps", "shown", "hits")
        )
        return {
            "iou": IOU,
            "polyps": int(polyps.sum()),
            "shown": int(shown.sum()),
            "hits": int(hits.sum()),
            "precision": interval(hits, shown),
            "recall": interval(hits, polyps),
            "f1": interval(2 * hits, polyps + shown),
            "ap50": average_precision(self.shown, int(polyps.sum())),
        }


def evaluate_boxes(
    show: Shower, images: Sequence[BoxedImage], advance: Callable[[], None] = lambda: None
) -> BoxEvaluation:
    """Compare what is shown on every image with its boxes.

    Args:
        advance: called after each image.

    Raises:
        InputError: an image cannot be used, or the backend failed on it.
    """
    rows, every = [], []
    for boxed in images:
        frame = boxed.load()
        try:
            mask, presence = show(frame)
        except MicroAUNetError as error:
            raise InputError(f"{boxed.image}: {error}") from error
        regions = find_boxes(mask)
        edges = np.array(
            [(box.x, box.y, box.x + box.width, box.y + box.height) for box in regions], np.float64
        ).reshape(-1, 4)
        hits = match(edges, boxed.boxes)
        every += [ShownBox(presence, box.area, hit) for box, hit in zip(regions, hits, strict=True)]
        size = (boxed.width, boxed.height)
        rows.append(BoxRow(boxed.stem, *size, presence, len(boxed.boxes), len(regions), sum(hits)))
        advance()
    return BoxEvaluation(rows, every)


def match(shown: np.ndarray, polyps: np.ndarray) -> list[bool]:
    """Whether each shown box is a hit, in their order.

    Args:
        shown, polyps: float (n, 4) and (m, 4): xmin, ymin, xmax, ymax in pixels.
    """
    overlap = iou(shown, polyps)
    hits = []
    for row in overlap:
        best = int(row.argmax()) if row.size else -1
        hit = best >= 0 and row[best] >= IOU
        if hit:
            overlap[:, best] = -1  # taken
        hits.append(bool(hit))
    return hits


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of every box of ``a`` (n, 4) with every one of ``b`` (m, 4): float (n, m)."""
    top = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.prod(np.clip(bottom - top, 0, None), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return common / (areas[0][:, None] + areas[1][None, :] - common)


def average_precision(shown: Sequence[ShownBox], polyps: int) -> float | None:
    """The area under precision over recall of ranked boxes; None when there are no ``polyps``."""
    if not polyps:
        return None
    ranked = sorted(shown, key=lambda box: (-box.presence, -box.area))
    hits = np.cumsum([box.hit for box in ranked])
    precision = hits / np.arange(1, len(ranked) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    return float(sum(level for level, box in zip(highest, ranked, strict=True) if box.hit) / polyps)
