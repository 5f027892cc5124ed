"""The field of view is found, text and borders are not, and masks come back to where they belong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redness import polyp_frame, write_bundle

from microaunet_runtime import open_session
from microaunet_runtime.images.field_of_view import View, ViewFinder, find_view, whole
from microaunet_runtime.images.synthetic import frame as synthetic_frame
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.segmenter import Segmenter
from microaunet_runtime.stream.sources.frame import Frame


def screen(
    height: int = 540, width: int = 960, *, text: bool = True, level: int = 3
) -> tuple[np.ndarray, View]:
    """A scope's screen: the picture right of the middle, patient data on the left, black noise around."""
    image = np.random.default_rng(0).integers(0, 2 * level, (height, width, 3)).astype(np.uint8)
    view = View(20, height - 30, width // 3, width - 40)
    picture, _ = synthetic_frame(3, 128, 160)
    picture = cv2.resize(picture, (view.right - view.left, view.bottom - view.top))
    corner = np.zeros(picture.shape[:2], np.uint8)
    h, w = corner.shape
    cut = h // 5
    outline = [(cut, 0), (w - cut, 0), (w, cut), (w, h - cut), (w - cut, h), (cut, h), (0, h - cut), (0, cut)]
    cv2.fillPoly(corner, [np.array(outline)], 1)
    view.cut(image)[corner > 0] = np.maximum(picture, 60)[corner > 0]
    if text:
        size = height / 700
        for line in range(8):
            where = (10, round((70 + 50 * line) * size))
            cv2.putText(image, "ID 123456 12:34", where, cv2.FONT_HERSHEY_SIMPLEX, size, (255,) * 3, 2)
    return image, view


def overlap(a: View, b: View) -> float:
    inside = max(0, min(a.bottom, b.bottom) - max(a.top, b.top)) * max(
        0, min(a.right, b.right) - max(a.left, b.left)
    )
    return inside / (a.pixels + b.pixels - inside)


@pytest.mark.parametrize("size", [(540, 960), (1080, 1920), (480, 720), (2160, 3840)])
def test_the_view_is_found_beside_text(size: tuple[int, int]) -> None:
    image, view = screen(*size)
    found = find_view(image)
    assert found is not None
    assert overlap(found, view) > 0.95


def test_a_frame_that_is_all_picture_stays_whole() -> None:
    image = np.full((240, 320, 3), 120, np.uint8)
    assert find_view(image) == whole(240, 320)


@pytest.mark.parametrize("level", [0, 20])
def test_a_dark_frame_has_no_view(level: int) -> None:
    assert find_view(np.full((240, 320, 3), level, np.uint8)) is None


def test_text_alone_is_no_view() -> None:
    image, view = screen()
    view.cut(image)[...] = 0
    assert find_view(image) is None


def test_the_view_is_found_once_and_dark_frames_do_not_change_it() -> None:
    image, view = screen()
    finder = ViewFinder()
    dark = np.zeros_like(image)
    assert finder(dark) == whole(540, 960)
    views = [finder(image) for _ in range(20)]
    assert overlap(views[-1], view) > 0.95
    assert finder(dark) == views[-1]
    shrunk = image.copy()
    shrunk[:270] = 0  # half of it in shadow
    assert finder(shrunk) == views[-1]


def test_another_frame_size_is_another_view() -> None:
    finder = ViewFinder()
    finder(screen()[0])
    image, view = screen(1080, 1920)
    assert overlap(finder(image), view) > 0.95


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_a_mask_maps_back_exactly(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(2, 60)), data.draw(st.integers(2, 60))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    view = View(top, bottom, left, right)
    mask = np.random.default_rng(0).integers(0, 2, (height, width), np.uint8)
    placed = view.place(view.cut(mask), height, width)
    expected = np.zeros_like(mask)
    expected[top:bottom, left:right] = mask[top:bottom, left:right]
    np.testing.assert_array_equal(placed, expected)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 9))
def test_any_frame_gives_a_view_inside_it_or_none(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    image[: height * seed // 12] = 0
    found = find_view(image)
    if found is not None:
        assert 0 <= found.top < found.bottom <= height
        assert 0 <= found.left < found.right <= width


def test_a_polyp_is_marked_where_it_is_on_the_screen(tmp_path: Path) -> None:
    """The same polyp in a view of its own and on a scope's screen: the same mask, at its place."""
    bundle = write_bundle(tmp_path / "bundle", 128, 128)
    view = View(40, 340, 250, 600)
    image = np.zeros((400, 640, 3), np.uint8)
    picture = polyp_frame(300, 350, 200, 120, 50)
    view.cut(image)[...] = picture

    def opened() -> object:
        return open_session(bundle, backend="onnxruntime")

    cropping = Segmenter(opened, ViewFinder(), None, Events())  # type: ignore[arg-type]
    segmented = cropping(Frame(0, 0.0, "0", image, bgr=False))
    with open_session(bundle, backend="onnxruntime") as session:
        alone = session.run(picture).mask
    assert overlap(View(40, 340, 250, 600), find_view(image) or whole(400, 640)) > 0.97
    expected = view.place(alone, 400, 640)
    agreement = (segmented.mask & expected).sum() / (segmented.mask | expected).sum()
    assert agreement > 0.95
    assert segmented.mask.shape == (400, 640)
    assert segmented.view_pixels == pytest.approx(view.pixels, rel=0.05)


def test_no_polyp_of_kvasir_is_cut_off(data_root: Path) -> None:
    """On real images, of which many have borders, no pixel of a polyp may lie outside the view."""
    from microaunet_runtime.evaluation.dataset import find_pairs, load_pair

    cut: Callable[[View, np.ndarray], int] = lambda view, mask: int(mask.sum() - view.cut(mask).sum())  # noqa: E731
    lost = {}
    for pair in find_pairs(data_root / "kvasir-seg" / "train")[::10]:
        image, mask = load_pair(pair)
        view = find_view(image)
        if view is not None and cut(view, mask):
            lost[pair.stem] = cut(view, mask)
    assert lost == {}
