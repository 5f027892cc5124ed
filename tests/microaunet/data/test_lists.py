"""The committed lists hold what the protocol says, and find their frames."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from microaunet.data import lists
from microaunet_runtime.errors import InputError

POLYP_FREE = [f"polyp-free-{source}" for source in ("gastrovision", "hyperkvasir", "polypgen")]


def images(name: str) -> set[str]:
    return {entry["image"] for entry in lists.read_list(name)}


def hashes(name: str) -> set[str]:
    return {entry["image_sha256"] for entry in lists.read_list(name)}


@pytest.mark.parametrize(
    "family", ["kvasir", "clinicdb-random", "clinicdb-sequence", "polypgen", *POLYP_FREE]
)
def test_train_validation_and_test_share_no_frame(family: str) -> None:
    parts = [f"{family}-{part}" for part in ("train", "validation", "test")]
    # By content, so that a copy under another name counts too.
    assert sum(len(hashes(part)) for part in parts) == len(set.union(*map(hashes, parts)))


def test_the_lists_cover_the_sets() -> None:
    # One training image is left out: the test set holds the same frame.
    assert [len(images(f"kvasir-{part}")) for part in ("train", "validation", "test")] == [719, 80, 200]
    assert [len(images(f"polypgen-{part}")) for part in ("train", "validation", "test")] == [989, 139, 284]
    free = [f"{source}-{part}" for source in POLYP_FREE for part in ("train", "validation", "test")]
    assert len(set.union(*map(images, free))) == 2162
    for cut in ("random", "sequence"):
        whole = set.union(*(images(f"clinicdb-{cut}-{part}") for part in ("train", "validation", "test")))
        assert len(whole) == 612


def test_calibration_frames_are_training_frames() -> None:
    assert len(images("kvasir-calibration")) == 255
    assert images("kvasir-calibration") <= images("kvasir-train")


def test_an_unknown_list_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="nosuch"):
        lists.read_list("nosuch")


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="kvasir-seg"):
        lists.resolve(["kvasir-train"], tmp_path)


def test_a_folder_of_ones_own_keeps_a_tenth_for_validation(synthetic_set: Path) -> None:
    train, validation = lists.folder(synthetic_set)
    assert (len(train), len(validation)) == (18, 2)
    assert not set(train) & set(validation)
    assert lists.folder(synthetic_set) == (train, validation)


def test_committed_hashes_are_those_of_the_data(data_root: Path) -> None:
    for family in ("kvasir", "clinicdb-random", "clinicdb-sequence", "polypgen", *POLYP_FREE):
        frames, differing = lists.resolve([f"{family}-validation"], data_root)
        assert frames
        assert differing == 0


def test_no_sequence_is_on_both_sides_of_the_cut(data_root: Path) -> None:
    with (data_root / "cvc-clinicdb/sequences.csv").open() as stream:
        sequence_of = {row["frame_id"]: row["sequence_id"] for row in csv.DictReader(stream)}
    sequences = [
        {sequence_of[Path(name).stem] for name in images(f"clinicdb-sequence-{part}")}
        for part in ("train", "validation", "test")
    ]
    assert sum(map(len, sequences)) == len(set.union(*sequences)) == 29


@pytest.mark.parametrize("name", ["polypgen", "polyp-free"])
def test_near_duplicates_are_on_one_side(name: str, data_root: Path) -> None:
    with (data_root / name / "groups.csv").open() as stream:
        group_of = {row["image"]: row["group"] for row in csv.DictReader(stream)}
    families = [name] if name == "polypgen" else POLYP_FREE
    groups = [
        {group_of[Path(image).name] for family in families for image in images(f"{family}-{part}")}
        for part in ("train", "validation", "test")
    ]
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_frames_without_masks_are_found_by_list_and_by_folder(synthetic_set: Path) -> None:
    frames, differing = lists.resolve_images([synthetic_set.name], synthetic_set.parent)
    assert (len(frames), differing) == (20, 0)
    assert {frame.mask for frame in frames} == {None}
    with pytest.raises(InputError, match="nosuch"):
        lists.resolve_images(["nosuch"], synthetic_set.parent)
