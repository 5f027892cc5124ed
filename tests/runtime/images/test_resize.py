"""Masks on large frames: smooth, and where the probability says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from microaunet_runtime.images.resize import cut_mask, resize_mask, resize_probability
from microaunet_runtime.stream.stabilise import Stabilisation, Stabiliser


def hill(height: int, width: int, x: float = 0.5, y: float = 0.5, steep: float = 12) -> np.ndarray:
    """A probability that falls from a point, float32 (height, width)."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    distance = np.hypot((columns + 0.5) / width - x, (rows + 0.5) / height - y)
    return (1 / (1 + np.exp(steep * 2 * (distance - 0.2)))).astype(np.float32)


def corners(mask: np.ndarray) -> float:
    """How far the outline turns for each pixel of its length: a staircase turns at every step."""
    (outline,), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = outline[:, 0].astype(float)
    steps = np.roll(points, -8, 0) - points  # over 8 pixels: the grid of the frame itself turns at each
    angles = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    return float(np.abs(np.diff(angles)).sum())


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_the_mask_is_where_the_stretched_probability_passes_the_threshold(threshold: float) -> None:
    probability = hill(64, 96)
    found = cut_mask(probability, threshold, 480, 720)
    expected = resize_probability(probability, 480, 720) > threshold
    assert found.dtype == np.uint8
    assert (found != expected).mean() < 0.004


def test_a_contour_at_1080p_is_smoother_than_that_of_a_stretched_mask() -> None:
    probability = hill(320, 320)
    smooth = cut_mask(probability, 0.5, 1080, 1920)
    stairs = resize_mask((probability > 0.5).view(np.uint8), 1080, 1920)
    assert (smooth != stairs).mean() < 0.005, "the same region"
    assert corners(smooth) < 0.7 * corners(stairs)


@pytest.mark.parametrize("threshold", [0.03, 0.5, 0.97])
def test_no_pixel_changes_sides(threshold: float) -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((48, 64), np.float32)
    probability[:4] = np.float32(threshold)
    probability[4:8] = np.nextafter(np.float32(threshold), np.float32(1))
    same = cut_mask(probability, threshold, 48, 64)
    np.testing.assert_array_equal(same, probability > threshold)
    odd = cut_mask(probability, threshold, 48 * 3, 64 * 3)  # the middle of each 3 x 3 is the pixel itself
    np.testing.assert_array_equal(odd[1::3, 1::3], probability > threshold)


def test_nothing_is_nothing() -> None:
    assert not cut_mask(np.zeros((8, 8), np.float32), 0.5, 80, 80).any()
    assert cut_mask(np.ones((8, 8), np.float32), 0.5, 80, 80).all()


def test_a_stabilised_mask_is_as_smooth_and_hides_what_is_hidden() -> None:
    stabiliser = Stabiliser(0.5, 0.5, Stabilisation(weight=1.0))
    with pytest.raises(ValueError, match="no frame"):
        stabiliser.mask(10, 10)
    sure = hill(128, 128, x=0.3, steep=20)
    for frame in range(4):
        shown = stabiliser(sure, 1.0, frame / 25)
    late = np.maximum(sure, hill(128, 128, x=0.85, y=0.85, steep=40) * 0.9)
    shown = stabiliser(late, 0.3, 4 / 25)  # enough to keep what is shown, not to show more
    large = stabiliser.mask(1280, 1280)
    assert large[:, : 1280 // 2].any()
    assert not large[1280 // 2 + 300 :, 1280 // 2 + 300 :].any(), "a region that is not shown yet"
    assert (large != resize_mask(shown, 1280, 1280)).mean() < 0.01
    assert corners(large) < 0.8 * corners(resize_mask(shown, 1280, 1280))
