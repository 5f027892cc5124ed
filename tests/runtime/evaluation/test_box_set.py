"""Kvasir-SEG's file of boxes: what it lists is what is read, and what is wrong in it is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.box_set import EDGES, FILE_NAME, find_box_file, read_boxes
from microaunet_runtime.images import write_image

HEIGHT, WIDTH = 40, 60
BOX = {"label": "polyp", "xmin": 5, "ymin": 0, "xmax": 60, "ymax": 30}
FUZZ = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    database=None,
)


def entry(*boxes: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"height": HEIGHT, "width": WIDTH, "bbox": list(boxes), **changes}


def write(folder: Path, content: Any, stems: str = "ab") -> Path:
    for stem in stems:
        path = folder / "images" / f"{stem}.png"
        if not path.exists():
            write_image(path, np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    path = folder / FILE_NAME
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_boxes_are_read_in_the_order_of_the_images(tmp_path: Path) -> None:
    found = read_boxes(write(tmp_path, {"b": entry(BOX, BOX), "a": entry()}))
    assert [(boxed.stem, len(boxed.boxes)) for boxed in found] == [("a", 0), ("b", 2)]
    assert found[1].boxes[0].tolist() == [5, 0, 60, 30]
    assert found[1].load().shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda good: "[" + json.dumps(good), "is not valid JSON"),
        (lambda good: [good], "expected an object as in Kvasir-SEG's"),
        (lambda good: {}, "lists no images"),
        (
            lambda good: {**good, "zz": entry(), "y": entry()},
            "lists 'y' and 1 more, but .*images has no such",
        ),
        (lambda good: {"a": entry()}, r"b\.png is not in .*an empty list where it shows no polyp"),
        (lambda good: {**good, "b": [BOX]}, "'b': expected an object with height, width and a list bbox"),
        (lambda good: {**good, "b": entry(height="40")}, "height '40' and width 60 are not numbers"),
        (lambda good: {**good, "b": entry(width=True)}, "are not numbers of pixels"),
        (lambda good: {**good, "b": entry(BOX, {"xmin": 1})}, "'b': box 2 has no numbers xmin"),
        (
            lambda good: {**good, "b": entry({**BOX, "label": "needle"})},
            "labelled 'needle', expected 'polyp'",
        ),
        (lambda good: {**good, "b": entry({**BOX, "xmax": 61})}, "outside of the image, which is 60 x 40"),
        (lambda good: {**good, "b": entry({**BOX, "ymin": -1})}, "box 1 reaches outside"),
        (lambda good: {**good, "b": entry({**BOX, "xmax": 5})}, "box 1 is empty"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: Callable[[Any], Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_boxes(write(tmp_path, change({"a": entry(BOX), "b": entry(BOX)})))


def test_a_set_with_masks_is_a_set_of_masks_unless_the_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "val", {"a": entry(), "b": entry()})
    assert find_box_file(tmp_path / "val", "train") == path
    assert find_box_file(tmp_path, "val") == path
    assert find_box_file(tmp_path, "train") is None
    (tmp_path / "val/masks").mkdir()
    assert find_box_file(tmp_path / "val", "val") is None
    assert find_box_file(path, "val") == path


@st.composite
def inside(draw: st.DrawFn) -> dict[str, Any]:
    left, right = sorted(draw(st.lists(st.integers(0, WIDTH), min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(st.integers(0, HEIGHT), min_size=2, max_size=2, unique=True)))
    return {"label": "polyp", "xmin": left, "ymin": top, "xmax": right, "ymax": bottom}


@FUZZ
@given(st.lists(inside(), max_size=5), st.lists(inside(), max_size=5))
def test_every_box_inside_of_its_image_is_read_as_it_stands(
    tmp_path: Path, first: list[dict[str, Any]], second: list[dict[str, Any]]
) -> None:
    found = read_boxes(write(tmp_path, {"a": entry(*first), "b": entry(*second)}))
    for boxed, expected in zip(found, (first, second), strict=True):
        assert boxed.boxes.tolist() == [[box[edge] for edge in EDGES] for box in expected]


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*EDGES, "label"]), inner),
    max_leaves=8,
)


@FUZZ
@given(st.fixed_dictionaries({}, optional={"height": ANYTHING, "width": ANYTHING, "bbox": ANYTHING}))
def test_whatever_stands_for_an_image_is_read_or_refused(tmp_path: Path, strange: dict[str, Any]) -> None:
    with suppress(InputError):
        found = read_boxes(write(tmp_path, {"a": strange, "b": entry()}))
        assert (found[0].boxes[:, :2] < found[0].boxes[:, 2:]).all()


@FUZZ
@given(st.integers(0, 200), st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, place: int, damage: bytes) -> None:
    path = write(tmp_path, {"a": entry(BOX), "b": entry()})
    content = path.read_bytes()
    place %= len(content)
    path.write_bytes(content[:place] + damage + content[place + len(damage) :])
    with suppress(InputError):
        read_boxes(path)
