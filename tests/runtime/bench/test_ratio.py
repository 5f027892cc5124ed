"""The ratio of latencies on series whose true ratio is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microaunet_runtime.bench.ratio import Ratio, interquartile_mean, ratio_of_medians


def test_interquartile_mean_ignores_a_spoilt_quarter() -> None:
    assert interquartile_mean(np.array([1.0, 2, 3, 1000])) == 2.5
    assert interquartile_mean(np.array([5.0, 7])) == 6


def noisy(rng: np.random.Generator, blocks: int, slowdown: float) -> tuple[np.ndarray, np.ndarray]:
    """Two series (blocks, 20) on a bad machine.

    Load that drifts from block to block, a memory layout per opening, long tails.
    """
    drift = 1 + rng.gamma(2, 0.2, (1, blocks, 1))
    layout = np.exp(rng.normal(0, 0.02, (2, blocks, 1)))
    both = (drift + np.abs(rng.standard_cauchy((2, blocks, 20))) * 0.05) * layout
    return both[0], both[1] * slowdown


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_equal_series_never_fail_the_gate(seed: int) -> None:
    assert not ratio_of_medians(*noisy(np.random.default_rng(seed), 24, 1.0)).fails(1.10)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_a_true_15_percent_fails_the_gate(seed: int) -> None:
    found = ratio_of_medians(*noisy(np.random.default_rng(seed), 24, 1.15))
    assert found.fails(1.10)
    assert found.verdict == "slower"


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(0.5, 2))
def test_the_ratio_has_no_unit_and_turns_around(seed: int, scale: float, slowdown: float) -> None:
    baseline, candidate = noisy(np.random.default_rng(seed), 12, slowdown)
    found = ratio_of_medians(baseline, candidate)
    assert found.low <= found.ratio <= found.high
    assert ratio_of_medians(baseline * scale, candidate * scale).ratio == pytest.approx(found.ratio)
    back = ratio_of_medians(candidate, baseline)
    assert back.ratio == pytest.approx(1 / found.ratio)
    assert back.low == pytest.approx(1 / found.high)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    intervals = [ratio_of_medians(*noisy(rng, 24, 1.07)) for _ in range(200)]
    covered = np.mean([found.low <= 1.07 <= found.high for found in intervals])
    assert 0.88 <= covered <= 0.99


@pytest.mark.parametrize(
    ("ratio", "verdict", "fails", "undecided"),
    [
        (Ratio(1.15, 1.11, 1.19), "slower", True, False),
        (Ratio(1.15, 0.98, 1.35), "same", False, True),  # too wide: not proven
        (Ratio(1.03, 1.01, 1.05), "slower", False, False),  # slower, but allowed
        (Ratio(1.00, 0.98, 1.02), "same", False, False),
        (Ratio(0.80, 0.78, 0.82), "faster", False, False),
    ],
)
def test_verdicts(ratio: Ratio, verdict: str, fails: bool, undecided: bool) -> None:
    assert (ratio.verdict, ratio.fails(1.10), ratio.undecided(1.10)) == (verdict, fails, undecided)


@pytest.mark.parametrize(
    ("baseline", "candidate"),
    [
        (np.ones((3, 4)), np.ones((2, 4))),
        (np.ones((1, 4)), np.ones((1, 4))),
        (np.ones(4), np.ones(4)),
        (np.zeros((3, 4)), np.ones((3, 4))),
        (np.full((3, 4), np.nan), np.ones((3, 4))),
    ],
)
def test_series_that_prove_nothing_are_refused(baseline: np.ndarray, candidate: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"block|positive"):
        ratio_of_medians(baseline, candidate)
