"""Percentiles by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from microaunet_runtime.percentiles import percentile, summary


@pytest.mark.parametrize(
    ("n", "p", "expected"),
    [
        (1, 50, 1),
        (2, 50, 1),  # 2 - 1 - int(1.0) = 0: the lower of two
        (3, 50, 2),
        (100, 50, 50),
        (100, 99, 99),
        (100, 100, 100),
        (100, 0, 1),  # the index would be -1 and is held at 0
        (8, 90, 8),
        (200, 95, 190),
        (1000, 99, 990),
    ],
)
def test_percentile_is_trtexecs(n: int, p: float, expected: float) -> None:
    shuffled = np.random.default_rng(0).permutation(np.arange(1, n + 1))
    assert percentile(shuffled, p) == expected


@given(
    st.lists(st.floats(0.001, 1e6), min_size=1, max_size=300),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_percentile_is_a_sample_and_grows_with_p(samples: list[float], p: float, q: float) -> None:
    low, high = percentile(samples, min(p, q)), percentile(samples, max(p, q))
    assert low in samples
    assert low <= high <= max(samples)


@pytest.mark.parametrize(("samples", "p"), [([], 50), ([1.0], 101), ([1.0], -1)])
def test_percentile_refuses_what_has_none(samples: list[float], p: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(samples, p)


def test_summary_keeps_the_outlier() -> None:
    figures = summary([1.0] * 99 + [500.0])
    assert figures["p50"] == figures["p90"] == figures["p95"] == figures["p99"] == 1
    assert figures["max"] == 500
    assert figures["spread"] == 0
    assert figures["mean"] == pytest.approx(5.99)
