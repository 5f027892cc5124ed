"""Synthetic frames: repeatable, exact, and near enough to real ones in what can be measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microaunet_runtime.evaluation.dataset import find_pairs, load_pair
from microaunet_runtime.evaluation.metrics import polyps_found
from microaunet_runtime.images.synthetic import frame, write_set


def test_a_seed_names_one_frame() -> None:
    first, again, other = frame(5), frame(5), frame(6)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).mean() > 0.5


@pytest.mark.parametrize(("height", "width"), [(256, 256), (96, 160), (288, 384), (64, 64)])
def test_any_size_is_given(height: int, width: int) -> None:
    image, mask = frame(1, height, width)
    assert (image.shape, image.dtype) == ((height, width, 3), np.uint8)
    assert (mask.shape, mask.dtype) == ((height, width), np.uint8)
    assert set(np.unique(mask)) == {0, 1}


@pytest.mark.parametrize("polyps", [0, 1, 2, 3, 8])
def test_the_mask_holds_the_polyps_asked_for(polyps: int) -> None:
    for seed in range(4):
        _, mask = frame(seed, 160, 160, polyps)
        assert polyps_found(mask, mask)[1] == polyps


@pytest.mark.parametrize("polyps", [-1, 9])
def test_more_polyps_than_fit_are_an_error(polyps: int) -> None:
    with pytest.raises(ValueError, match="holds 0 to 8 polyps"):
        frame(0, 64, 64, polyps)


def test_polyps_are_brighter_than_their_surroundings_and_everything_is_reddish() -> None:
    inside, outside = [], []
    for seed in range(12):
        image, mask = frame(seed, 128, 128)
        seen = image.astype(int).sum(axis=2) > 90  # without the black corners
        inside.append(image[mask == 1].mean(axis=0))
        outside.append(image[(mask == 0) & seen].mean(axis=0))
    polyp, mucosa = np.mean(inside, axis=0), np.mean(outside, axis=0)
    assert polyp.sum() > mucosa.sum()
    for colour in (polyp, mucosa):
        assert colour[0] > 1.3 * colour[1] > 1.3 * colour[2]


def test_colours_are_near_those_of_real_frames(data_root: Path) -> None:
    def means(pairs: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        return np.mean(
            [[i[m == 1].mean(axis=0), i[i.sum(axis=2) > 90].mean(axis=0)] for i, m in pairs], axis=0
        )

    real = find_pairs(data_root / "kvasir-seg" / "train")[::16]
    gap = means([load_pair(pair) for pair in real]) - means([frame(seed) for seed in range(20)])
    assert np.abs(gap).max() < 40  # the standard deviation among real frames is 15 to 25


def test_a_written_set_reads_back(tmp_path: Path) -> None:
    write_set(tmp_path, 3, seed=7, height=96, width=128)
    pairs = find_pairs(tmp_path)
    assert len(pairs) == 3
    for index, pair in enumerate(pairs):
        image, mask = load_pair(pair)
        np.testing.assert_array_equal(image, frame(7 + index, 96, 128)[0])
        np.testing.assert_array_equal(mask, frame(7 + index, 96, 128)[1])
