"""Boxes of what is shown against boxes of polyps, counted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microaunet_runtime.errors import InputError, MicroAUNetError
from microaunet_runtime.evaluation.box_set import BoxedImage
from microaunet_runtime.evaluation.detection import ShownBox, average_precision, evaluate_boxes, iou, match
from microaunet_runtime.images import write_image


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, 4)


def test_overlap_is_intersection_over_union() -> None:
    found = iou(
        boxes((0, 0, 10, 10), (20, 20, 30, 30)), boxes((0, 0, 10, 20), (5, 5, 15, 15), (10, 0, 20, 10))
    )
    np.testing.assert_allclose(found, [[100 / 200, 25 / 175, 0], [0, 0, 0]])


def test_half_of_the_union_is_enough_and_less_is_not() -> None:
    assert match(boxes((0, 0, 10, 10)), boxes((0, 0, 10, 20))) == [True]
    assert match(boxes((0, 0, 10, 10)), boxes((0, 0, 10, 20.1))) == [False]


def test_a_polyp_is_hit_once_and_the_larger_region_goes_first() -> None:
    assert match(boxes((0, 0, 10, 10), (0, 0, 10, 9)), boxes((0, 0, 10, 10))) == [True, False]
    two = boxes((0, 0, 10, 10), (0, 0, 10, 9))  # the second region is left the polyp that it overlaps less
    assert match(two, boxes((0, 0, 10, 10), (0, 0, 10, 8))) == [True, True]


def test_without_boxes_on_one_side_nothing_is_hit() -> None:
    assert match(boxes(), boxes((0, 0, 1, 1))) == []
    assert match(boxes((0, 0, 1, 1)), boxes()) == [False]


def ranked(*hits: bool) -> list[ShownBox]:
    return [ShownBox(1 - index / 100, 50, hit) for index, hit in enumerate(hits)]


@pytest.mark.parametrize(
    ("hits", "polyps", "expected"),
    [
        ([True, False, True], 4, (1 + 2 / 3) / 4),
        ([False, True, True], 2, 2 / 3),  # precision 0, 1/2, 2/3: the highest at or after each hit is 2/3
        ([True, True], 2, 1.0),
        ([False, False], 3, 0.0),
        ([], 3, 0.0),
        ([False], 0, None),
    ],
)
def test_average_precision_is_the_area_under_the_highest_precision(
    hits: list[bool], polyps: int, expected: float | None
) -> None:
    found = average_precision(ranked(*hits), polyps)
    assert found == (expected if expected is None else pytest.approx(expected))


def test_presence_ranks_first_and_area_within_equal_presence() -> None:
    shown = [ShownBox(0.5, 900, False), ShownBox(0.9, 10, False), ShownBox(0.9, 20, True)]
    assert average_precision(shown, 1) == 1.0


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 10))
def test_average_precision_never_exceeds_recall(hits: list[bool], missed: int) -> None:
    polyps = sum(hits) + missed
    found = average_precision(ranked(*hits), polyps)
    if found is not None:
        assert 0 <= found <= sum(hits) / polyps + 1e-12


def image(folder: Path, stem: str, *rows: tuple[float, float, float, float]) -> BoxedImage:
    path = folder / f"{stem}.png"
    write_image(path, np.full((40, 60, 3), 90, np.uint8))
    return BoxedImage(stem, path, 40, 60, boxes(*rows))


def test_a_set_is_counted_image_by_image(tmp_path: Path) -> None:
    images = [
        image(tmp_path, "both", (0, 0, 20, 10), (30, 20, 50, 40)),
        image(tmp_path, "missed", (0, 0, 20, 20)),
        image(tmp_path, "free"),
    ]
    masks = np.zeros((3, 40, 60), np.uint8)
    masks[0, 0:10, 0:20] = 1  # exactly the first polyp; the second is not shown
    masks[2, 5:15, 5:15] = 1  # a false alarm, and a speck
    masks[2, 30, 30] = 1
    answers = iter(zip(masks, (0.9, 0.8, 0.85), strict=True))
    found = evaluate_boxes(lambda frame: next(answers), images)
    assert [(row.stem, row.polyps, row.shown, row.hits) for row in found.rows] == [
        ("both", 2, 1, 1),
        ("missed", 1, 0, 0),
        ("free", 0, 2, 0),
    ]
    figures = found.summary
    assert (figures["polyps"], figures["shown"], figures["hits"]) == (3, 3, 1)
    for key in ("precision", "recall", "f1", "ap50"):
        value = figures[key] if key == "ap50" else figures[key]["mean"]
        assert value == pytest.approx(1 / 3), key
    found.write_csv(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_text().splitlines()[1] == "both,60,40,0.9,2,1,1"


def test_an_image_of_another_size_than_its_boxes_is_named(tmp_path: Path) -> None:
    boxed = image(tmp_path, "a", (0, 0, 20, 10))
    write_image(boxed.image, np.zeros((30, 60, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.png is 60 x 30, but its boxes were drawn on 60 x 40"):
        evaluate_boxes(lambda frame: (frame[..., 0], 0.0), [boxed])


def test_a_backend_that_fails_is_reported_with_the_image(tmp_path: Path) -> None:
    def fail(frame: np.ndarray) -> tuple[np.ndarray, float]:
        raise MicroAUNetError("the backend failed")

    with pytest.raises(InputError, match=r"a\.png: the backend failed"):
        evaluate_boxes(fail, [image(tmp_path, "a")])
