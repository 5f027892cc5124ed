"""The overlay marks the mask, says the facts, and can be read on any screen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from microaunet_runtime.images.overlay import draw_overlay
from microaunet_runtime.images.regions import find_boxes

FACTS = ["area 12.3 % of view", "4.1 ms  onnxruntime int8-fp16"]


def disc(height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    cv2.circle(mask, (width // 2, height // 2), min(height, width) // 5, 1, -1)
    return mask


@pytest.mark.parametrize(("height", "width"), [(480, 640), (1080, 1920), (2160, 3840), (576, 720)])
def test_letters_grow_with_the_screen(height: int, width: int) -> None:
    """A line of text takes 1.5 to 5 percent of the height, light on dark, and ends inside the frame."""
    image = np.full((height, width, 3), 128, np.uint8)
    overlay = draw_overlay(image, np.zeros((height, width), np.uint8), FACTS, bgr=True)
    letters = (overlay > 220).all(axis=2)
    corner = letters[: height // 4]
    rows = np.flatnonzero(corner.any(axis=1))
    lines = np.split(rows, np.flatnonzero(np.diff(rows) > 2) + 1)
    tall = [len(line) for line in lines if len(line) >= height * 0.01]
    assert len(tall) == len(FACTS)
    assert all(height * 0.015 <= rows <= height * 0.05 for rows in tall)
    assert corner.any(axis=0)[: width // 2].any()
    assert not letters[:, -1].any()
    lower = letters[-height // 12 :]
    assert lower.any(), "the disclaimer is missing"


@pytest.mark.parametrize(("height", "width"), [(480, 640), (2160, 3840)])
def test_contour_and_fill_follow_the_mask(height: int, width: int) -> None:
    image = np.full((height, width, 3), 128, np.uint8)
    mask = disc(height, width)
    overlay = draw_overlay(image, mask, [], bgr=True)
    centre = overlay[height // 2, width // 2].astype(int)
    assert centre[1] > 128 + 15, "no green fill"
    assert abs(centre - 128).max() < 64, "the fill hides the tissue"
    bright = (overlay[..., 1] > 200) & (overlay[..., 2] < 120)
    kernel = np.ones((height // 60, height // 60))
    ring = cv2.dilate(mask, kernel) - cv2.erode(mask, kernel)
    assert bright.sum() > 0.1 * ring.sum()
    assert not (bright & (ring == 0)).any()


def test_channel_order_changes_nothing_but_the_order() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, (240, 320, 3), np.uint8)
    mask = disc(240, 320)
    bgr = draw_overlay(image, mask, FACTS, bgr=True, warning="STALE 900 ms")
    rgb = draw_overlay(np.ascontiguousarray(image[..., ::-1]), mask, FACTS, bgr=False, warning="STALE 900 ms")
    np.testing.assert_array_equal(bgr, rgb[..., ::-1])


def test_the_frame_itself_stays_untouched() -> None:
    image = np.full((240, 320, 3), 90, np.uint8)
    draw_overlay(image, disc(240, 320), FACTS, bgr=True, warning="STALE 900 ms")
    assert (image == 90).all()


def test_a_warning_is_red() -> None:
    image = np.full((480, 640, 3), 128, np.uint8)
    mask = np.zeros((480, 640), np.uint8)

    def red(overlay: np.ndarray) -> int:
        return int(((overlay[..., 2] > 180) & (overlay[..., 1] < 90)).sum())

    assert red(draw_overlay(image, mask, FACTS, bgr=True, warning="STALE 900 ms")) > 1000
    assert red(draw_overlay(image, mask, FACTS, bgr=True)) == 0


@pytest.mark.parametrize("size", [(1, 1), (8, 300), (300, 8), (32, 32)])
def test_tiny_frames_do_not_fail(size: tuple[int, int]) -> None:
    overlay = draw_overlay(np.zeros((*size, 3), np.uint8), np.ones(size, np.uint8), FACTS, bgr=True)
    assert overlay.shape == (*size, 3)


def test_boxes_are_exact_and_sorted_by_area() -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[10:20, 30:35] = 1
    mask[50:90, 100:160] = 1
    mask[20, 35] = 1  # touches the first at a corner: one region
    boxes = find_boxes(mask)
    assert [(b.x, b.y, b.width, b.height, b.area) for b in boxes] == [
        (100, 50, 60, 40, 2400),
        (30, 10, 6, 11, 51),
    ]
    assert boxes[0].share == 2400 / 20000
    assert find_boxes(np.zeros((10, 10), np.uint8)) == []
