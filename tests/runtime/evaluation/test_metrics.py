"""The measures, against cases worked out by hand and the laws that tie them together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from microaunet_runtime.evaluation.metrics import (
    Confusion,
    hd95,
    interval,
    mask_agreement,
    polyps_found,
    size_bin,
)

EMPTY = np.zeros((30, 40), np.uint8)


def box(top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = EMPTY.copy()
    mask[top : top + height, left : left + width] = 1
    return mask


masks = arrays(np.uint8, (6, 7), elements=st.integers(0, 1))


def test_a_case_by_hand() -> None:
    # 4 x 10 predicted, 4 x 10 true, shifted by 5: 20 pixels in both
    counts = Confusion.of(box(0, 5, 4, 10), box(0, 0, 4, 10))
    assert counts == Confusion(tp=20, fp=20, fn=20, tn=1200 - 60)
    assert counts.dice == pytest.approx(0.5)
    assert counts.iou == pytest.approx(1 / 3)
    assert Confusion.of(box(0, 0, 4, 5), box(0, 0, 4, 10)).precision == 1
    assert Confusion.of(box(0, 0, 4, 5), box(0, 0, 4, 10)).recall == pytest.approx(0.5)


def test_both_empty_is_agreement_and_one_empty_is_none() -> None:
    both, one = Confusion.of(EMPTY, EMPTY), Confusion.of(EMPTY, box(0, 0, 1, 1))
    assert (both.dice, both.iou, both.precision, both.recall) == (1, 1, 1, 1)
    assert (one.dice, one.iou, one.precision, one.recall) == (0, 0, 0, 0)
    other = Confusion.of(box(0, 0, 1, 1), EMPTY)
    assert (other.dice, other.iou, other.precision, other.recall) == (0, 0, 0, 0)
    assert mask_agreement(EMPTY, EMPTY) == 1


def test_pooled_counts_weigh_by_pixel_and_not_by_image() -> None:
    large, small = Confusion.of(box(0, 0, 10, 10), box(0, 0, 10, 10)), Confusion.of(EMPTY, box(0, 0, 1, 1))
    assert (large + small).dice == pytest.approx(200 / 201)
    assert (large.dice + small.dice) / 2 == 0.5


def test_masks_of_two_shapes_are_an_error() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        mask_agreement(EMPTY, EMPTY.T)


@given(masks, masks)
def test_bounds_symmetry_and_the_law_between_dice_and_iou(a: np.ndarray, b: np.ndarray) -> None:
    counts = Confusion.of(a, b)
    assert counts.tp + counts.fp + counts.fn + counts.tn == a.size
    for value in (counts.dice, counts.iou, counts.precision, counts.recall):
        assert 0 <= value <= 1
    assert counts.dice == pytest.approx(2 * counts.iou / (1 + counts.iou))
    assert mask_agreement(a, b) == mask_agreement(b, a)
    assert mask_agreement(a, a) == 1
    assert Confusion.of(b, a).precision == counts.recall


def test_hd95_of_a_shift_is_the_shift() -> None:
    assert hd95(box(5, 5, 1, 1), box(8, 9, 1, 1)) == pytest.approx(5)  # 3, 4, 5
    assert hd95(box(5, 5, 10, 10), box(5, 5, 10, 10)) == 0


def test_hd95_leaves_out_the_worst_twentieth() -> None:
    # a line of 40 pixels against the same line with one pixel far off: 1 of 41 distances is 20
    line, off = box(0, 0, 1, 40), box(0, 0, 1, 40)
    off[20, 10] = 1
    assert hd95(off, line) == 0
    off[20:24, 10] = 1  # now 4 of 44
    assert hd95(off, line) > 0


def test_hd95_of_an_empty_mask() -> None:
    assert hd95(EMPTY, EMPTY) == 0
    assert hd95(EMPTY, box(0, 0, 3, 3)) == hd95(box(0, 0, 3, 3), EMPTY) == math.hypot(30, 40)


@given(masks, masks)
@settings(max_examples=60)
def test_hd95_against_every_pair_of_boundary_pixels(a: np.ndarray, b: np.ndarray) -> None:
    def edge(mask: np.ndarray) -> np.ndarray:
        wide = np.pad(mask, 1)
        inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
        return np.argwhere(mask & (1 - inner))

    first, second = edge(a), edge(b)
    if len(first) and len(second):
        distance = np.linalg.norm(first[:, None] - second[None], axis=2)
        expected = max(np.percentile(distance.min(axis=1), 95), np.percentile(distance.min(axis=0), 95))
        assert hd95(a, b) == pytest.approx(expected)
    assert hd95(a, b) == hd95(b, a)


def test_polyps_are_counted_one_by_one() -> None:
    truth = box(0, 0, 5, 5) | box(20, 20, 5, 5) | box(0, 30, 5, 5)
    assert polyps_found(box(0, 0, 30, 40), truth) == (3, 3)
    assert polyps_found(box(20, 20, 5, 5), truth) == (1, 3)
    assert polyps_found(EMPTY, truth) == (0, 3)
    assert polyps_found(box(0, 0, 5, 5), EMPTY) == (0, 0)


def test_a_polyp_is_found_when_half_of_it_is_predicted() -> None:
    truth = box(10, 10, 4, 10)
    assert polyps_found(box(10, 10, 4, 5), truth) == (1, 1)
    assert polyps_found(box(10, 10, 4, 4) | box(13, 14, 1, 3), truth) == (0, 1)


def test_parts_that_touch_at_a_corner_are_one_polyp_and_specks_are_none() -> None:
    assert polyps_found(EMPTY, box(0, 0, 5, 5) | box(5, 5, 5, 5)) == (0, 1)
    large = np.zeros((200, 200), np.uint8)
    large[10:40, 10:40] = 1
    large[100, 100:103] = 1  # 3 of 40,000 pixels
    assert polyps_found(large, large) == (1, 1)


@pytest.mark.parametrize(
    ("pixels", "expected"), [(0, "none"), (49, "small"), (50, "medium"), (149, "medium"), (150, "large")]
)
def test_size_bins_by_share_of_the_frame(pixels: int, expected: str) -> None:
    mask = np.zeros(1000, np.uint8)
    mask[:pixels] = 1
    assert size_bin(mask.reshape(20, 50)) == expected


def test_the_interval_holds_the_mean_and_repeats() -> None:
    values = np.random.default_rng(3).normal(0.7, 0.2, 200)
    result = interval(values)
    assert result == interval(list(values))
    assert result["mean"] == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(200)  # the normal approximation, close for 200 values
    assert result["low"] == pytest.approx(values.mean() - half, abs=0.006)
    assert result["high"] == pytest.approx(values.mean() + half, abs=0.006)


def test_the_interval_of_a_ratio_and_of_nothing() -> None:
    assert interval([1, 0, 2], [1, 1, 2])["mean"] == pytest.approx(3 / 4)
    assert interval([0.25]) == {"mean": 0.25, "low": 0.25, "high": 0.25}
    assert interval([]) == interval([0, 0], [0, 0]) == {"mean": None, "low": None, "high": None}
