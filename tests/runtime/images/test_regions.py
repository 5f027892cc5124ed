"""Specks: too small to be a polyp, so not shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microaunet_runtime.images import read_mask
from microaunet_runtime.images.regions import SMALLEST_SHARE, find_boxes, without_specks


def test_a_speck_beside_a_polyp_goes_and_the_polyp_stays_as_it_is() -> None:
    probability = np.full((100, 200), 0.1, np.float32)
    probability[40:60, 50:80] = 0.9
    probability[5:7, 5:9] = 0.8  # 8 pixels of 20,000: under 0.0005
    before = probability.copy()
    kept = without_specks(probability, 0.5)
    assert [box.area for box in find_boxes((kept > 0.5).astype(np.uint8))] == [600]
    np.testing.assert_array_equal(kept[10:], before[10:])
    np.testing.assert_array_equal(probability, before)


def test_a_region_of_just_the_smallest_share_stays() -> None:
    probability = np.zeros((100, 200), np.float32)
    probability[50, 50:60] = 0.6  # 10 pixels of 20,000
    assert without_specks(probability, 0.5) is probability


@given(st.integers(0, 2**32 - 1), st.sampled_from([(32, 32), (64, 96), (97, 33)]), st.floats(0.05, 0.95))
def test_exactly_the_regions_that_are_large_enough_remain(
    seed: int, shape: tuple[int, int], threshold: float
) -> None:
    random = np.random.default_rng(seed)
    probability = np.kron(random.random((shape[0] // 4 + 1, shape[1] // 4 + 1)), np.ones((4, 4)))
    probability = probability[: shape[0], : shape[1]].astype(np.float32)
    boxes = find_boxes((probability > threshold).view(np.uint8))
    expected = [box for box in boxes if box.area >= SMALLEST_SHARE * probability.size]
    assert find_boxes((without_specks(probability, threshold) > threshold).view(np.uint8)) == expected


def test_an_empty_map_stays() -> None:
    empty = np.zeros((32, 32), np.float32)
    assert without_specks(empty, 0.5) is empty


def test_in_no_training_frame_is_the_polyp_a_speck(data_root: Path) -> None:
    lists = pytest.importorskip("microaunet.data.lists")
    frames, _ = lists.resolve(["kvasir-train", "clinicdb-sequence-train", "polypgen-train"], data_root)
    regions = [find_boxes((read_mask(frame.mask) > 0).astype(np.uint8)) for frame in frames]
    smallest = min(largest.share for largest, *_ in filter(None, regions))  # a few masks are empty
    assert len(frames) == 2158
    assert smallest > SMALLEST_SHARE
    assert smallest == pytest.approx(0.00077, abs=5e-6)
