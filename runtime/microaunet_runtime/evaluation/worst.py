"""The worst images of an evaluation as one picture: frame, ground truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..images import write_image
from ..optional import opencv
from .dataset import Pair, load_pair
from .evaluate import Evaluation, Predictor, Row, native_probability

PANEL = 240  # pixels of a panel's height
CAPTION = 24
WIDEST = 2 * PANEL  # a panorama is cut down to this width

_TRUTH = (60, 220, 60)
_PREDICTION = (250, 220, 40)
_TEXT = (235, 235, 235)


def worst_picture(
    evaluation: Evaluation, predictor: Predictor, pairs: Sequence[Pair], path: Path, n: int = 10
) -> None:
    """Write the ``n`` worst images as an image file, worst on top.

    Each line shows the frame, the ground truth (green) and the prediction (yellow) with the ground truth
    around it, under the file's stem, its Dice and its size bin. The frames are predicted again.

    Args:
        pairs: those that were evaluated.
        path: written whole or not at all; its suffix chooses the format.
    """
    by_stem = {pair.stem: pair for pair in pairs}
    lines = [_line(row, by_stem[row.stem], predictor, evaluation.threshold) for row in evaluation.worst(n)]
    width = max(line.shape[1] for line in lines)
    write_image(path, np.vstack([_widened(line, width) for line in lines]))


def _line(row: Row, pair: Pair, predictor: Predictor, threshold: float) -> np.ndarray:
    cv2 = opencv()
    image, truth = load_pair(pair)
    prediction = (native_probability(predictor, pair, image) > threshold).view(np.uint8)
    size = min(WIDEST, max(1, round(PANEL * image.shape[1] / image.shape[0]))), PANEL
    frame = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    truth, prediction = (cv2.resize(m, size, interpolation=cv2.INTER_NEAREST) for m in (truth, prediction))
    expected = _outlined(frame, truth, _TRUTH)
    found = _outlined(_outlined(frame, truth, _TRUTH), prediction, _PREDICTION)
    caption = np.zeros((CAPTION, 3 * size[0], 3), np.uint8)
    text = f"{row.stem}  dice {row.dice:.3f}  {row.size}"
    cv2.putText(caption, text, (6, CAPTION - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, _TEXT, 1, cv2.LINE_AA)
    return np.vstack([caption, np.hstack([frame, expected, found])])


def _outlined(frame: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    cv2 = opencv()
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(frame.copy(), contours, -1, colour, 2, cv2.LINE_AA)


def _widened(line: np.ndarray, width: int) -> np.ndarray:
    return np.pad(line, ((0, 0), (0, width - line.shape[1]), (0, 0)))
