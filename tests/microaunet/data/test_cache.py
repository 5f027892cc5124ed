"""The cache of decoded frames: reused, never stale, never half-read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from microaunet.data import cache, lists
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import find_pairs
from microaunet_runtime.images import write_image


@pytest.fixture
def own_set(synthetic_set: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(synthetic_set, tmp_path / "own"))


def frames_of(folder: Path) -> list[lists.ListedFrame]:
    return [lists.frame(pair.image, pair.mask) for pair in find_pairs(folder)[:4]]


def test_stored_frames_are_the_decoded_ones(own_set: Path, tmp_path: Path) -> None:
    frames = frames_of(own_set)
    stored = cache.open_frames(frames, 64, tmp_path / "cache")
    assert stored.shape == (4, 4, 64, 64)
    for index, frame in enumerate(frames):
        image, mask = cache.load(frame)
        np.testing.assert_array_equal(stored[index, :3], image.transpose(2, 0, 1))
        np.testing.assert_array_equal(stored[index, 3], mask * 255)


def test_the_second_opening_decodes_nothing(own_set: Path, tmp_path: Path) -> None:
    frames = frames_of(own_set)
    first = np.array(cache.open_frames(frames, 32, tmp_path / "cache"))
    for frame in frames:
        frame.image.unlink()
    np.testing.assert_array_equal(cache.open_frames(frames, 32, tmp_path / "cache"), first)


def test_a_changed_image_is_decoded_again(own_set: Path, tmp_path: Path) -> None:
    frames = frames_of(own_set)
    cache.open_frames(frames, 32, tmp_path / "cache")
    write_image(frames[0].image, np.full((64, 64, 3), 7, np.uint8))
    stored = cache.open_frames(frames_of(own_set), 32, tmp_path / "cache")
    assert abs(int(stored[0, 0].mean()) - 7) <= 1


def test_a_truncated_cache_is_written_again(own_set: Path, tmp_path: Path) -> None:
    frames = frames_of(own_set)
    expected = np.array(cache.open_frames(frames, 32, tmp_path / "cache"))
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(path.read_bytes()[:1000])
    np.testing.assert_array_equal(cache.open_frames(frames, 32, tmp_path / "cache"), expected)


def test_a_broken_image_leaves_no_cache_behind(own_set: Path, tmp_path: Path) -> None:
    frames = frames_of(own_set)
    content = frames[2].image.read_bytes()
    frames[2].image.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=frames[2].image.name):
        cache.open_frames(frames, 32, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
