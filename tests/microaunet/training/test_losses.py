"""The supervised terms against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from microaunet.training.losses import boundary_weight, disagreement, soft_dice, weighted_bce


def test_bce_counts_a_pixel_by_its_weight() -> None:
    logits = torch.tensor([0.0, math.log(3)]).view(1, 1, 1, 2)  # probabilities 1/2 and 3/4
    mask = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
    weight = torch.tensor([3.0, 1.0]).view(1, 1, 1, 2)
    expected = (3 * math.log(2) + math.log(4)) / 4
    assert weighted_bce(logits, mask, weight).item() == pytest.approx(expected)


def test_dice_is_per_frame_with_one_pixel_of_smoothing() -> None:
    sure = 50.0
    logits = torch.tensor([[sure, sure, -sure, -sure], [-sure, -sure, -sure, -sure]]).view(2, 1, 2, 2)
    mask = torch.tensor([[1.0, 0, 1, 0], [0, 0, 0, 0]]).view(2, 1, 2, 2)
    # First frame: overlap 1 of 2 and 2, so 1 - 3 / 5; second: nothing to find, nothing found.
    assert soft_dice(logits, mask).item() == pytest.approx((2 / 5 + 0) / 2)


def test_the_boundary_weighs_most_and_the_rest_one() -> None:
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., :128] = 1
    weight = boundary_weight(mask, 2.0, 15)
    assert weight[..., 126:130].min() > 2.5
    assert weight[..., :64].unique().tolist() == [1.0]
    assert weight.max() <= 3.0
    assert boundary_weight(mask, 0.0, 15).unique().tolist() == [1.0]


def test_the_weighted_band_covers_the_same_share_at_half_the_size() -> None:
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 64:192, 64:192] = 1
    small = mask[..., ::2, ::2].contiguous()
    whole, half = ((boundary_weight(m, 1.0, 30) > 1.05).float().mean().item() for m in (mask, small))
    assert half == pytest.approx(whole, rel=0.15)


def test_masks_that_agree_do_not_disagree_however_sure_they_are() -> None:
    logits = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert disagreement(logits, logits).item() == 0
    sure = torch.full((1, 1, 4, 4), 50.0)
    half = torch.cat([sure[..., :2], -sure[..., :2]], 3)
    # 8 of 16 pixels differ, of masks of 16 and 8 pixels.
    assert disagreement(sure, half).item() == pytest.approx(8 / (16 + 8 + 1))
    assert disagreement(-sure, -sure / 2).item() == pytest.approx(0, abs=1e-9), "both are empty"
