"""The committed lists hold what the protocol says, and find their frames."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from microaunet.data import lists
from microaunet_runtime.errors import InputError


def images(name: str) -> set[str]:
    return {entry["image"] for entry in lists.read_list(name)}


def hashes(name: str) -> set[str]:
    return {entry["image_sha256"] for entry in lists.read_list(name)}


@pytest.mark.parametrize("family", ["kvasir", "clinicdb-random", "clinicdb-sequence"])
def test_train_validation_and_test_share_no_frame(family: str) -> None:
    parts = [f"{family}-{part}" for part in ("train", "validation", "test")]
    # By content, so that a copy under another name counts too.
    assert sum(len(hashes(part)) for part in parts) == len(set.union(*map(hashes, parts)))


def test_the_lists_cover_both_sets() -> None:
    assert [len(images(f"kvasir-{part}")) for part in ("train", "validation", "test")] == [720, 80, 200]
    for cut in ("random", "sequence"):
        whole = set.union(*(images(f"clinicdb-{cut}-{part}") for part in ("train", "validation", "test")))
        assert len(whole) == 612


def test_calibration_frames_are_training_frames() -> None:
    assert len(images("kvasir-calibration")) == 256
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
    for family in ("kvasir", "clinicdb-random", "clinicdb-sequence"):
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
