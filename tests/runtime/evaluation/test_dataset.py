"""Data sets: pairs are found by stem, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import find_pairs, load_pair, resolve_set
from microaunet_runtime.images import write_image

IMAGE = np.full((8, 10, 3), 90, np.uint8)
MASK = np.eye(8, 10, dtype=np.uint8)


def make_set(
    folder: Path, stems: str = "ab", image: str = ".png", layout: tuple[str, str] = ("images", "masks")
) -> Path:
    for stem in stems:
        write_image(folder / layout[0] / f"{stem}{image}", IMAGE)
        write_image(folder / layout[1] / f"{stem}.png", MASK)
    return folder


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".bmp", ".tif", ".webp"])
def test_pairs_are_found_by_stem_whatever_the_suffix(tmp_path: Path, suffix: str) -> None:
    pairs = find_pairs(make_set(tmp_path, "cab", suffix))
    assert [pair.stem for pair in pairs] == ["a", "b", "c"]
    assert all(
        pair.image.name == f"{pair.stem}{suffix}" and pair.mask.name == f"{pair.stem}.png" for pair in pairs
    )


def test_the_layout_of_clinicdb_is_known(tmp_path: Path) -> None:
    pairs = find_pairs(make_set(tmp_path, "1", ".tif", ("Original", "Ground Truth")))
    assert pairs[0].mask == tmp_path / "Ground Truth" / "1.png"


def test_other_files_hidden_files_and_spare_masks_are_left_out(tmp_path: Path) -> None:
    make_set(tmp_path)
    (tmp_path / "images" / "notes.txt").write_text("x")
    (tmp_path / "images" / "._a.png").write_bytes(b"x")
    write_image(tmp_path / "masks" / "z.png", MASK)
    assert [pair.stem for pair in find_pairs(tmp_path)] == ["a", "b"]


def test_an_image_without_its_mask_is_named(tmp_path: Path) -> None:
    make_set(tmp_path, "abc")
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(InputError, match=r"b\.png has no mask"):
        find_pairs(tmp_path)


def test_two_images_of_one_stem_are_named(tmp_path: Path) -> None:
    write_image(make_set(tmp_path) / "images" / "a.jpg", IMAGE)
    with pytest.raises(InputError, match="share the stem 'a'"):
        find_pairs(tmp_path)


def test_a_set_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        find_pairs(tmp_path)


def test_a_set_is_itself_or_a_split_of_a_root(tmp_path: Path) -> None:
    inner = make_set(tmp_path / "val")
    assert resolve_set(tmp_path, "val") == inner
    assert resolve_set(inner, "train") == inner


def test_what_is_no_set_says_what_was_expected_and_what_is_there(tmp_path: Path) -> None:
    make_set(tmp_path / "train")
    with pytest.raises(InputError, match=r"expected images/ and masks/ in it or in .*val; it holds train"):
        resolve_set(tmp_path, "val")
    with pytest.raises(InputError, match="does not exist"):
        resolve_set(tmp_path / "nowhere", "val")


def test_a_pair_loads_as_rgb_and_a_mask_of_zeros_and_ones(tmp_path: Path) -> None:
    image, mask = load_pair(find_pairs(make_set(tmp_path))[0])
    np.testing.assert_array_equal(image, IMAGE)
    np.testing.assert_array_equal(mask, MASK)


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    make_set(tmp_path)
    write_image(tmp_path / "masks" / "a.png", MASK[:, :9])
    with pytest.raises(InputError, match=r"a\.png is 9 x 8, but .* is 10 x 8"):
        load_pair(find_pairs(tmp_path)[0])


def test_the_real_sets_are_complete(data_root: Path) -> None:
    assert len(find_pairs(resolve_set(data_root / "kvasir-seg", "train"))) == 800
    assert len(find_pairs(resolve_set(data_root / "kvasir-seg", "val"))) == 200
    assert len(find_pairs(resolve_set(data_root / "cvc-clinicdb", "val"))) == 612
