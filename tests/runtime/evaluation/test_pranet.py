"""The PraNet measures come from pysodmetrics; checked against figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from microaunet_runtime.evaluation.pranet import PranetMeasures

pytest.importorskip("py_sod_metrics", reason="needs microaunet[pranet]")

TRUTH = np.zeros((40, 40), np.uint8)
TRUTH[10:30, 10:30] = 1


def summary(*probabilities: np.ndarray) -> dict:
    measures = PranetMeasures()
    for probability in probabilities:
        measures.add(probability.astype(np.float32), TRUTH)
    return measures.summary()


def test_a_perfect_map_scores_one_but_for_threshold_zero() -> None:
    result = summary(TRUTH)
    # at threshold 0 everything is foreground: Dice 2 * 400 / (400 + 1600); the other 255 thresholds give 1
    assert result["dice_pranet"]["mean"] == pytest.approx((255 + 800 / 2000) / 256)
    assert result["mae"]["mean"] == 0
    assert result["s_measure"]["mean"] == pytest.approx(1, abs=1e-6)
    assert result["weighted_f"]["mean"] == pytest.approx(1, abs=1e-3)
    assert result["e_measure_max"] == pytest.approx(1, abs=1e-2)


def test_every_map_is_stretched_to_its_own_extremes() -> None:
    assert summary(0.1 + 0.2 * TRUTH) == summary(TRUTH)


def test_a_flat_map_finds_nothing() -> None:
    assert summary(np.full(TRUTH.shape, 0.9))["mae"]["mean"] == pytest.approx(TRUTH.mean())


def test_means_are_over_frames() -> None:
    one, other = summary(TRUTH), summary(1 - TRUTH)
    both = summary(TRUTH, 1 - TRUTH)
    for key in ("dice_pranet", "iou_pranet", "weighted_f", "s_measure", "e_measure", "mae"):
        assert both[key]["mean"] == pytest.approx((one[key]["mean"] + other[key]["mean"]) / 2)
    assert summary() == {"images": 0}
