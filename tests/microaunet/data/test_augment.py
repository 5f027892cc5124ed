"""Augmentation: image and mask stay together, a seed repeats it, each kind does what its name says."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from microaunet.data.augment import Augmentation, Augmenter

OFF = Augmentation(
    **{
        field.name: float(field.name in ("scale_min", "scale_max"))
        for field in dataclasses.fields(Augmentation)
    }
)
WARP = dataclasses.replace(
    OFF,
    flip=0.5,
    affine=1.0,
    rotate=180.0,
    scale_min=0.6,
    scale_max=1.5,
    stretch=0.2,
    shear=10.0,
    translate=0.2,
)


def square(count: int = 8, side: int = 80) -> Tensor:
    """Stored frames: a white square on grey, off the centre, which is also the mask."""
    stored = torch.full((count, 4, side, side), 60, dtype=torch.uint8)
    stored[:, 3] = 0
    stored[:, :, 15:40, 20:55] = 255
    return stored


def test_nothing_switched_on_only_resizes() -> None:
    image, mask = Augmenter(OFF, 0)(square(), 80)
    torch.testing.assert_close(image * 255, square()[:, :3].float(), atol=0.05, rtol=0)
    torch.testing.assert_close(mask * 255, square()[:, 3:].float(), atol=0, rtol=0)


def test_a_warped_square_and_its_mask_agree() -> None:
    image, mask = Augmenter(WARP, 3)(square(32), 64)
    bright = (image[:, :1] > (60 / 255 + 1) / 2).float()
    overlap = (2 * (bright * mask).sum((1, 2, 3)) + 1) / ((bright + mask).sum((1, 2, 3)) + 1)
    assert overlap.min() > 0.93  # they differ where interpolation rounds the edge, no more
    assert mask.unique().tolist() == [0, 1]
    centres = [torch.nonzero(one[0]).float().mean(0) for one in mask if one.any()]
    assert torch.stack(centres).std(0).min() > 5  # and the square really moved


def test_the_same_seed_gives_the_same_batches_and_another_does_not() -> None:
    everything = dataclasses.replace(
        Augmentation(),
        gamma_share=1,
        blur_share=1,
        noise_share=1,
        border_share=1,
        text_share=1,
        erase_share=1,
    )
    first, second, other = (Augmenter(everything, seed)(square(), 64) for seed in (5, 5, 6))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].min() >= 0
    assert first[0].max() <= 1


@pytest.mark.parametrize(
    "change",
    [
        {"brightness": 0.3},
        {"contrast": 0.3},
        {"gamma": 0.5, "gamma_share": 1.0},
        {"blur_sigma": 2.0, "blur_share": 1.0},
        {"noise": 0.1, "noise_share": 1.0},
        {"text_share": 1.0},
        {"erase_share": 1.0},
    ],
)
def test_each_change_of_appearance_leaves_the_mask(change: dict[str, float]) -> None:
    image, mask = Augmenter(dataclasses.replace(OFF, **change), 1)(square(), 80)
    assert (image - square()[:, :3] / 255).abs().amax((1, 2, 3)).median() > 0.02
    torch.testing.assert_close(mask * 255, square()[:, 3:].float(), atol=0, rtol=0)


@pytest.mark.parametrize("change", [{"saturation": 0.5}, {"hue": 30.0}])
def test_colour_changes_leave_grey_as_it_is(change: dict[str, float]) -> None:
    augmenter = Augmenter(dataclasses.replace(OFF, **change), 1)
    image, _ = augmenter(square(), 80)
    torch.testing.assert_close(image * 255, square()[:, :3].float(), atol=0.1, rtol=0)
    red = square()
    red[:, 1:3] = 30
    image, _ = augmenter(red, 80)
    assert (image - red[:, :3] / 255).abs().amax((1, 2, 3)).median() > 0.02


def test_borders_hide_the_mask_with_the_image() -> None:
    stored = torch.full((8, 4, 64, 64), 255, dtype=torch.uint8)
    image, mask = Augmenter(dataclasses.replace(OFF, border_share=1.0), 0)(stored, 64)
    assert torch.equal((image[:, :1] > 0.5).float(), mask)
    assert (mask == 0).any()


def test_a_background_frame_shows_what_lies_beside_the_polyp() -> None:
    image, mask = Augmenter(dataclasses.replace(OFF, background_share=1.0), seed=0)(square(), 80)
    assert mask.sum() == 0
    inside = image[..., 1:-1, 1:-1]  # the outermost pixels mix with the black beyond
    assert torch.allclose(inside, torch.full_like(inside, 60 / 255), atol=1e-4)


def test_a_frame_without_room_beside_the_polyp_stays_as_it_is() -> None:
    stored = torch.full((2, 4, 80, 80), 255, dtype=torch.uint8)
    _, mask = Augmenter(dataclasses.replace(OFF, background_share=1.0), seed=0)(stored, 80)
    assert mask.mean() == 1
