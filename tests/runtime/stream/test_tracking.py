"""Identities of regions: they last through movement and short gaps, and are never shared."""

from __future__ import annotations

import numpy as np
import pytest

from microaunet_runtime.images.regions import Box
from microaunet_runtime.stream.tracking import Tracker, Tracking, buffered_iou

FPS = 25.0


def box(x: int, y: int = 50, width: int = 40, height: int = 30) -> Box:
    return Box(x, y, width, height, width * height, 0.01)


def ids(tracker: Tracker, frames: list[list[Box]], start: int = 0) -> list[list[int]]:
    return [
        [region.id for region in tracker(boxes, (start + index) / FPS)] for index, boxes in enumerate(frames)
    ]


def test_a_region_that_moves_keeps_its_identity() -> None:
    tracker = Tracker()
    assert ids(tracker, [[box(10 + 15 * step)] for step in range(20)]) == [[1]] * 20
    assert tracker.count == 1


def test_a_region_comes_back_after_a_short_gap_but_not_after_a_long_one() -> None:
    tracker = Tracker()
    assert ids(tracker, [[box(10)]] * 5 + [[]] * 20 + [[box(14)]]) == [[1]] * 5 + [[]] * 20 + [[1]]
    assert ids(tracker, [[box(14)]], start=100) == [[2]]


def test_two_regions_that_pass_near_each_other_stay_two() -> None:
    frames = [[box(10 + 4 * step, y=20), box(200 - 4 * step, y=60)] for step in range(45)]
    assert ids(Tracker(), frames) == [[1, 2]] * 45


def test_one_region_that_falls_into_two_gives_its_identity_to_the_larger_overlap() -> None:
    tracker = Tracker()
    (first,) = tracker([box(10, width=60)], 0.0)
    large, small = tracker([box(10, width=40), box(55, width=10)], 1 / FPS)
    assert (large.id, small.id) == (first.id, 2)
    assert (large.frames, small.frames) == (2, 1)


def test_a_flash_is_not_counted() -> None:
    tracker = Tracker()
    ids(tracker, [[box(10)], [box(11)], [], [], [box(300)]])
    assert tracker.count == 0
    ids(tracker, [[box(300)], [box(301)]], start=5)
    assert tracker.count == 1


def test_a_jump_back_in_time_resets_it() -> None:
    tracker = Tracker()
    tracker([box(10)], 60.0)
    assert [region.id for region in tracker([box(10)], 0.0)] == [2]


def test_buffered_iou_is_that_of_the_widened_boxes() -> None:
    one, other = box(10, 10, 40, 20), box(30, 20, 20, 20)
    canvas = np.zeros((2, 100, 100), bool)
    for layer, each in zip(canvas, (one, other), strict=True):
        wide, high = round(each.width * 0.25), round(each.height * 0.25)
        rows = slice(each.y - high, each.y + each.height + high)
        layer[rows, each.x - wide : each.x + each.width + wide] = True
    expected = (canvas[0] & canvas[1]).sum() / (canvas[0] | canvas[1]).sum()
    assert buffered_iou(one, other, 0.25) == pytest.approx(expected)
    assert buffered_iou(one, box(400), 0.25) == 0


def test_it_stays_small_however_many_regions_come() -> None:
    tracker = Tracker(Tracking(memory_s=0.1))
    for frame in range(500):
        tracker([box(100 * number, y=int(frame * 977) % 4000) for number in range(5)], frame / FPS)
    assert len(tracker._tracks) <= 5 * 4
