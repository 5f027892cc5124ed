"""COCO annotations give back the very mask, and the file is whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from results import result

from microaunet_runtime.stream.sinks.coco import CocoJson, regions, run_lengths


def decoded(segmentation: dict[str, list[int]]) -> np.ndarray:
    """What the format's definition makes of run lengths."""
    height, width = segmentation["size"]
    values = np.arange(len(segmentation["counts"])) % 2
    return np.repeat(values, segmentation["counts"]).reshape(width, height).T


def test_regions_together_are_the_mask() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[0:4, 0:5] = 1  # from the first pixel on: the runs begin with no zeros
    mask[10:15, 20:30] = 1
    mask[12, 22] = 0
    found = regions(mask)
    assert [region["area"] for region in found] == [20, 49]
    assert [region["bbox"] for region in found] == [[0, 0, 5, 4], [20, 10, 10, 5]]
    np.testing.assert_array_equal(sum(decoded(region["segmentation"]) for region in found), mask)
    assert regions(np.zeros((4, 4), np.uint8)) == []


@pytest.mark.parametrize("seed", range(5))
def test_any_mask_comes_back(seed: int) -> None:
    mask = np.random.default_rng(seed).random((7, 11)) > 0.5
    np.testing.assert_array_equal(decoded({"size": [7, 11], "counts": run_lengths(mask)}), mask)


def test_the_file_holds_images_annotations_and_categories(tmp_path: Path) -> None:
    sink = CocoJson(tmp_path / "coco.json")
    frames = [result(index) for index in range(3)]
    for frame in frames:
        sink.write(frame)
    assert not (tmp_path / "coco.json").exists(), "half a file must not have the name"
    sink.close()
    content = json.loads((tmp_path / "coco.json").read_text())
    assert [image["file_name"] for image in content["images"]] == [frame.frame.name for frame in frames]
    assert content["categories"] == [{"id": 1, "name": "polyp"}]
    for annotation, frame in zip(content["annotations"], frames, strict=True):
        assert annotation["image_id"] == frame.frame.index + 1
        np.testing.assert_array_equal(decoded(annotation["segmentation"]), frame.mask)
    sink.close()
    assert json.loads((tmp_path / "coco.json").read_text()) == content


def test_frames_without_regions_make_a_valid_file(tmp_path: Path) -> None:
    sink = CocoJson(tmp_path / "coco.json")
    empty = result(0)
    empty.mask[:] = 0
    sink.write(empty)
    sink.close()
    content = json.loads((tmp_path / "coco.json").read_text())
    assert (len(content["images"]), content["annotations"]) == (1, [])
