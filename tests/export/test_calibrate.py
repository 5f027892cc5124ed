"""Which images are calibrated on, what is measured on them, and when ranges are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_network import SIZE

from microaunet import checkpoint
from microaunet_export import calibrate, range_file, sensitivity
from microaunet_export.graph import structure_sha256
from microaunet_export.quantize import convolutions
from microaunet_export.range_file import Ranges
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import find_pairs
from microaunet_runtime.files import sha256
from microaunet_runtime.images import synthetic


def test_images_are_found_in_a_set_a_root_or_a_plain_folder(images: Path, tmp_path: Path) -> None:
    found = calibrate.find(images)
    assert (len(found.paths), found.listed) == (12, False)
    (tmp_path / "train").symlink_to(images)
    assert len(calibrate.find(tmp_path).paths) == len(calibrate.find(images / "images").paths) == 12


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    synthetic.write_set(tmp_path, 7, height=SIZE, width=SIZE)
    with pytest.raises(InputError, match="holds 7 images: calibration needs at least 8"):
        calibrate.find(tmp_path)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        calibrate.find(tmp_path / "nowhere")


def test_images_that_are_reported_are_refused(images: Path) -> None:
    reported = [pair.image for pair in find_pairs(images)][3:5]
    with pytest.raises(InputError, match="2 images are"):
        calibrate.find(images, reported)


def test_the_committed_list_is_recognised(data_root: Path) -> None:
    found = calibrate.find(data_root / "kvasir-seg")
    assert (len(found.paths), found.listed) == (255, True)
    assert {path.parts[-3] for path in found.paths} == {"train"}


FRAMES = [synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(4)]


def test_committed_lists_serve_for_other_weights(data_root: Path) -> None:
    found = calibrate.find_listed(["kvasir-train", "clinicdb-sequence-train"], data_root)
    assert (len(found.paths), found.listed) == (256, True)
    assert {"kvasir-seg", "cvc-clinicdb"} <= {part for path in found.paths for part in path.parts}


def test_frames_without_a_polyp_need_no_masks(data_root: Path) -> None:
    found = calibrate.find_listed(["kvasir-train", "polyp-free-hyperkvasir-train"], data_root)
    assert {"kvasir-seg", "polyp-free"} <= {part for path in found.paths for part in path.parts}


def test_weights_without_lists_in_their_card_are_calibrated_on_images(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="names no data lists: give --calib DIR"):
        calibrate.find_listed([], tmp_path)


@pytest.fixture(scope="module")
def measured(graphs: dict[int, onnx.ModelProto]) -> dict[str, dict[str, calibrate.Pair]]:
    """The ranges on :data:`FRAMES` by method and convolution."""
    return calibrate.collect(graphs[17], FRAMES, lambda: None)


def test_ranges_hold_what_the_convolutions_read(
    graphs: dict[int, onnx.ModelProto], measured: dict[str, dict[str, calibrate.Pair]]
) -> None:
    first = convolutions(graphs[17])[0].name
    assert measured["minmax"][first] == (min(map(np.min, FRAMES)), max(map(np.max, FRAMES)))
    for method in ("percentile", "entropy", "error"):
        for name, (low, high) in measured[method].items():
            widest = measured["minmax"][name]
            assert widest[0] <= low <= high <= widest[1]


def test_the_best_method_is_taken_and_damaging_convolutions_stay_in_float(
    graphs: dict[int, onnx.ModelProto], measured: dict[str, dict[str, calibrate.Pair]]
) -> None:
    good = measured["minmax"]
    small = next(name for name in good if "stages.3" in name and "pointwise" in name)  # few MACs: it may go
    spoilt = {**good, small: (0.0, 1e-6)}
    choice = sensitivity.choose(graphs[17], FRAMES[:2], {"spoilt": spoilt, "good": good}, lambda: None)
    assert choice.method == "good"
    assert choice.methods["good"] < choice.methods["spoilt"]
    choice = sensitivity.choose(graphs[17], FRAMES[:2], {"spoilt": spoilt}, lambda: None)
    assert next(iter(choice.in_float)) == small, "the convolution that does the damage goes first"


@pytest.fixture
def ranges(graphs: dict[int, onnx.ModelProto]) -> Ranges:
    return Ranges(
        weights_sha256="a" * 64,
        graph_sha256=structure_sha256(graphs[17]),
        method="minmax",
        methods={"minmax": 0.1},
        images=8,
        images_sha256="b" * 64,
        equalisation={"head/Conv": [0, 3]},
        convolutions={node.name: (0.0, 1.0) for node in convolutions(graphs[17])},
        in_float={},
        mask_agreement=1.0,
    )


def test_ranges_survive_the_file(ranges: Ranges, tmp_path: Path) -> None:
    ranges.save(tmp_path / "some.ranges.json")
    assert range_file.load(tmp_path / "some.ranges.json") == ranges


def test_ranges_of_other_weights_or_another_graph_are_refused(
    ranges: Ranges, graphs: dict[int, onnx.ModelProto]
) -> None:
    ranges.check("a" * 64, graphs[17], "file")
    with pytest.raises(InputError, match="other weights: calibrate"):
        ranges.check("c" * 64, graphs[17], "file")
    changed = onnx.ModelProto()
    changed.CopyFrom(graphs[17])
    changed.graph.node[3].name = "renamed"
    with pytest.raises(InputError, match="another graph"):
        ranges.check("a" * 64, changed, "file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "upgrade"),
        ({"schema": None}, "no calibration ranges"),
        ({"convolutions": {"a": [1, -1]}}, "range 1.0 to -1.0"),
        ({"convolutions": {"a": "wide"}}, "no calibration ranges"),
        ({"equalisation": {"a": [0, 99]}}, "out of range"),
        ({"surprise": 1}, "no calibration ranges"),
    ],
)
def test_a_damaged_file_of_ranges_is_one_clear_error(
    ranges: Ranges, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "some.ranges.json"
    ranges.save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=message):
        range_file.load(path)


def test_the_command_writes_ranges_beside_the_weights(calibrated: Path, images: Path) -> None:
    path = calibrated.with_suffix(".ranges.json")
    written = range_file.load(path)
    assert written.weights_sha256 == sha256(calibrated) == checkpoint.load(calibrated).sha256
    assert written.images == 12
    text = path.read_text()
    assert str(images) not in text
    assert "synthetic" not in text
