"""The one implementation of every measure: PyTorch, ONNX files and engines are all scored here.

Conventions, where a ratio is undefined: when prediction and ground truth are both empty, Dice, IoU, precision
and recall are 1 and HD95 is 0; when only one of them is empty, the four are 0 and HD95 is the diagonal of the
image. So a polyp-free frame counts 1 when nothing is predicted on it and 0 otherwise; its false positives are
reported apart.

Masks are uint8 or bool (h, w), foreground where not 0. Lengths are in pixels of the mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..optional import opencv

SMALL_BELOW = 0.05
LARGE_FROM = 0.15
"""Share of the frame that its polyps cover, for small, medium and large. Our choice, not a standard: near the
thirds of the masks of CVC-ClinicDB (0.044, 0.10) and of Kvasir-SEG's training set (0.07, 0.15)."""

SPECK = 1e-4
"""Connected parts of a ground truth under this share of the frame are no polyps: CVC-ClinicDB's masks hold 24
stray specks, all smaller; its smallest polyp and Kvasir-SEG's are over ten times larger."""

FOUND = 0.5
"""Share of a polyp's pixels that must be predicted for it to count as found. Our choice: were any overlap
enough, a network of Dice 0.43 that grazes most polyps would find 96 % of them."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of a prediction against its ground truth."""

    tp: int
    fp: int
    fn: int
    tn: int

    @staticmethod
    def of(prediction: np.ndarray, truth: np.ndarray) -> Confusion:
        """Count the pixels of two masks of one shape.

        Raises:
            ValueError: the shapes differ.
        """
        if prediction.shape != truth.shape:
            raise ValueError(f"prediction {prediction.shape} and ground truth {truth.shape} differ in shape")
        predicted, true = prediction.astype(bool), truth.astype(bool)
        tp = int(np.count_nonzero(predicted & true))
        fp = int(np.count_nonzero(predicted)) - tp
        fn = int(np.count_nonzero(true)) - tp
        return Confusion(tp, fp, fn, truth.size - tp - fp - fn)

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    @property
    def dice(self) -> float:
        """2 |A and B| / (|A| + |B|)."""
        return self._ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def iou(self) -> float:
        """|A and B| / |A or B|."""
        return self._ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> float:
        """Share of the predicted pixels that are true."""
        return self._ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the true pixels that are predicted."""
        return self._ratio(self.tp, self.tp + self.fn)

    def _ratio(self, part: int, whole: int) -> float:
        if self.tp + self.fp + self.fn == 0:
            return 1.0
        return part / whole if whole else 0.0


def mask_agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks of one shape; 1 when both are empty."""
    return Confusion.of(a, b).dice


def hd95(prediction: np.ndarray, truth: np.ndarray) -> float:
    """The 95th percentile Hausdorff distance in pixels: the larger of the two directed ones.

    A directed one is the 95th percentile of the distances from each boundary pixel of one mask to the nearest
    boundary pixel of the other. Boundary pixels belong to the mask and touch the outside or the image's edge.
    """
    edges = [_boundary(mask) for mask in (prediction, truth)]
    if not any(edge.any() for edge in edges):
        return 0.0
    if not all(edge.any() for edge in edges):
        return float(np.hypot(*truth.shape))
    return max(_directed95(*edges), _directed95(*edges[::-1]))


def _directed95(edge: np.ndarray, other: np.ndarray) -> float:
    """The 95th percentile of the distances from ``edge``'s pixels to the nearest one of ``other``."""
    cv2 = opencv()
    distance = cv2.distanceTransform(1 - other, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    squared = np.rint(np.square(distance[edge != 0], dtype=np.float64))  # whole numbers; OpenCV's are nearly
    return float(np.percentile(np.sqrt(squared), 95))


def _boundary(mask: np.ndarray) -> np.ndarray:
    """1 on boundary pixels, uint8 (h, w)."""
    cv2 = opencv()
    mask = (mask != 0).view(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inside = cv2.erode(mask, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return mask & ~inside


def polyps_found(prediction: np.ndarray, truth: np.ndarray) -> tuple[int, int]:
    """The number of polyps found, and the number of polyps.

    A polyp is an 8-connected part of the ground truth of at least :data:`SPECK` of the frame; it is found
    when at least :data:`FOUND` of its pixels are predicted.
    """
    cv2 = opencv()
    count, labels, stats, _ = cv2.connectedComponentsWithStats((truth != 0).view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    hits = np.bincount(labels[prediction != 0], minlength=count)
    polyp = areas >= SPECK * truth.size
    polyp[0] = False  # label 0 is the background
    return int((polyp & (hits >= FOUND * areas)).sum()), int(polyp.sum())


def size_bin(truth: np.ndarray) -> str:
    """``small``, ``medium`` or ``large`` by the share of the frame that is polyp; ``none`` when none is."""
    share = np.count_nonzero(truth) / truth.size
    if share == 0:
        return "none"
    if share < SMALL_BELOW:
        return "small"
    return "medium" if share < LARGE_FROM else "large"


def interval(values: Any, weights: Any = None, *, seed: int = 0) -> dict[str, float | None]:
    """Mean with its 95 % percentile-bootstrap interval over images, as ``{mean, low, high}``.

    Args:
        values: (n,) one per image.
        weights: (n,) or None for ones. With weights the mean is sum(values) / sum(weights).
        seed: of the :data:`RESAMPLES` resamples, so that a repeated run gives the same interval.

    Returns:
        The three figures; all None when there is nothing to average.
    """
    top = np.asarray(values, np.float64)
    bottom = np.ones_like(top) if weights is None else np.asarray(weights, np.float64)
    if bottom.sum() == 0:
        return {"mean": None, "low": None, "high": None}
    random = np.random.default_rng(seed)
    means = []
    for _ in range(20):  # in blocks, so that memory stays small for sets of many thousand images
        drawn = random.integers(0, len(top), (RESAMPLES // 20, len(top)))
        below = bottom[drawn].sum(axis=1)
        means.append(top[drawn].sum(axis=1)[below > 0] / below[below > 0])
    low, high = np.percentile(np.concatenate(means), (2.5, 97.5))
    return {"mean": float(top.sum() / bottom.sum()), "low": float(low), "high": float(high)}


def auc(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The probability that a positive's score is above a negative's; a tie counts half (Mann, Whitney 1947).

    Args:
        positives, negatives: scores, (N,) and (M,), at least one each.
    """
    ordered = np.sort(negatives)
    below, up_to = (np.searchsorted(ordered, positives, side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(negatives)))
