"""Stabilised masks: no flashes, no flicker, and what it costs in delay."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microaunet_runtime.stream.stabilise import Stabilisation, Stabiliser, delay_frames

THRESHOLD = 0.5
PRESENCE = 0.6


def seen(level: float, radius: int = 12, size: int = 64) -> np.ndarray:
    """A probability with a disc of ``level`` on 0.02."""
    rows, columns = np.ogrid[:size, :size]
    inside = (rows - 32) ** 2 + (columns - 32) ** 2 <= radius**2
    return np.where(inside, level, 0.02).astype(np.float32)


def step(stabiliser: Stabiliser, probability: np.ndarray, time_s: float) -> np.ndarray:
    """The mask of a frame whose presence is its surest pixel."""
    return stabiliser(probability, float(probability.max()), time_s)


def shown(levels: list[float], fps: float = 25, **settings: float) -> list[bool]:
    stabiliser = Stabiliser(THRESHOLD, PRESENCE, Stabilisation(**settings))
    return [bool(step(stabiliser, seen(level), index / fps).any()) for index, level in enumerate(levels)]


def test_a_single_flash_never_shows() -> None:
    assert not any(shown([0, 0, 0.95, 0, 0, 0, 0, 0, 0.95, 0]))


def test_a_single_gap_does_not_interrupt() -> None:
    levels = [0.95] * 8 + [0.3] + [0.95] * 8
    assert all(shown(levels)[3:])


def test_flicker_around_the_threshold_becomes_steady() -> None:
    levels = [0.9] * 5 + [0.55, 0.45] * 20
    raw = [level > THRESHOLD for level in levels]
    steady = shown(levels)
    assert sum(a != b for a, b in pairwise(steady)) <= 2
    assert sum(a != b for a, b in pairwise(raw)) > 30


def test_presence_in_every_second_frame_does_not_show() -> None:
    assert not any(shown([0.95, 0.55] * 20))


def test_presence_alone_decides_what_appears() -> None:
    """The same map shows from the operating point on and not below it."""
    for presence, appears in ((PRESENCE, True), (PRESENCE - 1e-6, False)):
        stabiliser = Stabiliser(THRESHOLD, PRESENCE)
        states = [bool(stabiliser(seen(0.95), presence, index / 25).any()) for index in range(3)]
        assert states == [False, appears, appears]


def test_what_was_sure_once_stays_while_it_is_likely() -> None:
    assert all(shown([0.95] * 3 + [0.4] * 40)[1:])


def test_a_region_goes_with_the_presence_though_the_map_stays() -> None:
    """A fold that is marked in every frame, and was taken for a polyp for a moment."""
    stabiliser = Stabiliser(THRESHOLD, PRESENCE)
    levels = [0.9] * 5 + [0.2] + [0.9] * 4 + [0.1] * 10
    states = [bool(stabiliser(seen(0.95), level, index / 25).any()) for index, level in enumerate(levels)]
    assert all(states[1:10])  # one frame of doubt does not interrupt
    assert not any(states[13:])


def test_a_polyp_that_leaves_is_gone_soon() -> None:
    states = shown([0.95] * 10 + [0.02] * 10)
    assert states[9]
    assert not any(states[12:])


def test_tiny_regions_do_not_show() -> None:
    stabiliser = Stabiliser(THRESHOLD, PRESENCE)
    for index in range(10):
        assert not step(stabiliser, seen(0.99, radius=1, size=128), index / 25).any()


def test_a_speck_above_the_threshold_shows_no_region() -> None:
    """What a frame shows alone is as large as a region, 9 of 4096 pixels: in the region, not beside it."""
    stabiliser = Stabiliser(THRESHOLD, PRESENCE)
    for index, pixels in enumerate((8, 8, 8, 9, 9)):
        probability = seen(0.45)
        probability[30, 26 : 26 + pixels] = 0.95
        probability[0, :60] = 0.95
        assert step(stabiliser, probability, index / 25)[32, 32] == (index == 4)


def test_a_region_of_frames_without_presence_does_not_show() -> None:
    """A region reaches down to the lower threshold; that alone invents none."""
    stabiliser = Stabiliser(THRESHOLD, PRESENCE)
    assert not any(step(stabiliser, seen(0.59), index / 25).any() for index in range(20))
    halo = np.maximum(seen(0.45, radius=20), seen(0.9, radius=6))
    for index in range(20, 40):
        mask = step(stabiliser, halo, index / 25)
    assert mask.sum() == (halo > 0.4).sum()


@pytest.mark.parametrize("probability", [0.65, 0.75, 0.9, 0.99])
@pytest.mark.parametrize("weight", [0.3, 0.6, 0.8, 1.0])
def test_the_delay_is_the_one_that_is_stated(probability: float, weight: float) -> None:
    states = shown([probability] * 30, weight=weight)
    assert states.index(True) == delay_frames(Stabilisation(weight=weight), probability, THRESHOLD)


def test_a_delay_without_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="never appears"):
        delay_frames(Stabilisation(), 0.45, THRESHOLD)


def test_a_polyp_that_moves_is_shown() -> None:
    """Sure at one place of the region, then at another."""
    stabiliser = Stabiliser(THRESHOLD, PRESENCE)
    left, right = (np.full((64, 64), 0.02, np.float32) for _ in range(2))
    for probability, surest in ((left, 22), (right, 34)):
        probability[20:40, 20:40] = 0.45
        probability[26:34, surest - 2 : surest + 5] = 0.95
    shown = [step(stabiliser, each, index / 25).any() for index, each in enumerate((left, right, left))]
    assert shown == [False, True, True]


def test_the_delay_in_seconds_does_not_depend_on_the_frame_rate() -> None:
    """A live source that drops every second frame is smoothed over the same time."""
    slow, fast = (shown([0.7] * 60, fps=fps, weight=0.3).index(True) / fps for fps in (12.5, 50))
    assert slow == pytest.approx(fast, abs=0.08)


@pytest.mark.parametrize("fps", [0.1, 1, 1.9])
def test_a_polyp_is_shown_at_the_slowest_rates_too(fps: float) -> None:
    states = shown([0.95] * 6, fps=fps)
    assert all(states[2:])
    assert not any(shown([0, 0.95, 0, 0, 0.95, 0], fps=fps))


def test_a_gap_or_a_jump_back_resets_it() -> None:
    stabiliser = Stabiliser(THRESHOLD, PRESENCE)
    for index in range(10):
        step(stabiliser, seen(0.95), index / 25)
    assert not step(stabiliser, seen(0.02), 60.0).any()
    for index in range(10):
        step(stabiliser, seen(0.95), 60 + index / 25)
    assert not step(stabiliser, seen(0.02), 3.0).any()


def test_another_size_resets_it() -> None:
    stabiliser = Stabiliser(THRESHOLD, PRESENCE)
    step(stabiliser, seen(0.95), 0)
    assert step(stabiliser, seen(0.95, size=80), 0.04).shape == (80, 80)


def test_the_probability_handed_in_is_not_changed() -> None:
    stabiliser = Stabiliser(THRESHOLD, PRESENCE)
    for index in range(3):
        probability = seen(0.9)
        step(stabiliser, probability, index / 25)
        np.testing.assert_array_equal(probability, seen(0.9))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(levels=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12), weight=st.floats(0.05, 1))
def test_masks_are_always_0_and_1(levels: list[float], weight: float) -> None:
    stabiliser = Stabiliser(THRESHOLD, PRESENCE, Stabilisation(weight=weight))
    for index, level in enumerate(levels):
        mask = step(stabiliser, seen(level), index / 25)
        assert mask.dtype == np.uint8
        assert mask.max() <= 1
