"""Scoring a network on a data set: one row per image, and their summary with intervals.

Whatever gives a probability for a frame is scored here, with or without torch.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MicroAUNetError
from ..files import replacing
from ..images.resize import resize_probability
from .dataset import Pair, load_pair
from .metrics import Confusion, hd95, interval, polyps_found, size_bin
from .pranet import PranetMeasures

Predictor = Callable[[np.ndarray], np.ndarray]
"""From a frame, uint8 (h, w, 3) RGB of any size, to its probability, float32 (H, W) at the network's size."""

SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Row:
    """The measures of one image; see :mod:`~.metrics` for each. ``hd95`` is in pixels of the mask."""

    stem: str
    width: int
    height: int
    dice: float
    iou: float
    precision: float
    recall: float
    hd95: float
    tp: int
    fp: int
    fn: int
    tn: int
    size: str
    polyps: int
    polyps_found: int

    @property
    def confusion(self) -> Confusion:
        """The pixel counts together."""
        return Confusion(self.tp, self.fp, self.fn, self.tn)


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        rows: one per image, in the order of the pairs.
        threshold: the probability above which a pixel counted as polyp.
        source: what was scored, in words.
        pranet: the measures of :class:`~.pranet.PranetMeasures`, when they were asked for.
    """

    rows: list[Row]
    threshold: float
    source: str
    pranet: dict[str, Any] | None = None

    @cached_property
    def summary(self) -> dict[str, Any]:
        """All figures as JSON. A mean is {mean, low, high} with its 95 % bootstrap interval over images.

        ``polyp_sensitivity`` is the share of polyps found; ``false_positive_pixels``, the mean per polyp-free
        frame, is there only when there are such frames.
        """
        rows = self.rows
        free = [row.fp for row in rows if row.size == "none"]
        result: dict[str, Any] = {
            "images": len(rows),
            "threshold": self.threshold,
            "source": self.source,
            "dice_image": interval([row.dice for row in rows]),
            "miou": interval([row.iou for row in rows]),
            "precision": interval([row.precision for row in rows]),
            "recall": interval([row.recall for row in rows]),
            "hd95": interval([row.hd95 for row in rows]),
            "dice_pooled": sum((row.confusion for row in rows), Confusion(0, 0, 0, 0)).dice,
            "dice_by_size": {size: self._of_size(size) for size in SIZES},
            "polyp_sensitivity": {
                **interval([row.polyps_found for row in rows], [row.polyps for row in rows]),
                "found": sum(row.polyps_found for row in rows),
                "count": sum(row.polyps for row in rows),
            },
        }
        if free:
            result["false_positive_pixels"] = {**interval(free), "count": len(free)}
        if self.pranet is not None:
            result["pranet"] = self.pranet
        return result

    def _of_size(self, size: str) -> dict[str, Any]:
        dice = [row.dice for row in self.rows if row.size == size]
        return {**interval(dice), "count": len(dice)}

    def worst(self, count: int = 10) -> list[Row]:
        """The images with the least Dice, worst first; among equals, the farthest boundary first."""
        return sorted(self.rows, key=lambda row: (row.dice, -row.hd95, row.stem))[:count]

    def write_csv(self, path: Path) -> None:
        """Write one line per image."""
        write_rows(path, [asdict(row) for row in self.rows])


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of the same columns as CSV; at least one."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def evaluate(
    predictor: Predictor,
    pairs: Sequence[Pair],
    threshold: float,
    *,
    source: str = "",
    pranet: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Score ``predictor`` on every pair.

    Args:
        threshold: a pixel is polyp where its probability, resized to the mask's size, is above this.
        source: what is scored, in words; kept in the summary.
        pranet: also compute the PraNet measures, on the frames that hold a polyp.
        advance: called after each image.

    Raises:
        InputError: a file cannot be used, or the predictor gave NaN or infinity.
        MissingDependencyError: for ``pranet`` pysodmetrics is not installed.
    """
    measures = PranetMeasures() if pranet else None
    rows = []
    for pair in pairs:
        image, truth = load_pair(pair)
        probability = native_probability(predictor, pair, image)
        rows.append(_row(pair, (probability > threshold).view(np.uint8), truth))
        if measures and truth.any():
            measures.add(probability, truth)
        advance()
    return Evaluation(rows, threshold, source, measures.summary() if measures else None)


def native_probability(predictor: Predictor, pair: Pair, image: np.ndarray) -> np.ndarray:
    """The probability of ``image``, which is the pair's, at the image's own size: float32 (h, w).

    Raises:
        InputError: it holds NaN or infinity, or the backend failed.
    """
    try:
        probability = predictor(image)
    except MicroAUNetError as error:
        raise InputError(f"{pair.image}: {error}") from error
    if not np.isfinite(probability).all():
        raise InputError(f"the network gave NaN or infinity on {pair.image}: its weights are damaged")
    return resize_probability(probability, *image.shape[:2])


def _row(pair: Pair, prediction: np.ndarray, truth: np.ndarray) -> Row:
    counts = Confusion.of(prediction, truth)
    found, polyps = polyps_found(prediction, truth)
    return Row(
        stem=pair.stem,
        width=truth.shape[1],
        height=truth.shape[0],
        dice=counts.dice,
        iou=counts.iou,
        precision=counts.precision,
        recall=counts.recall,
        hd95=hd95(prediction, truth),
        **asdict(counts),
        size=size_bin(truth),
        polyps=polyps,
        polyps_found=found,
    )
