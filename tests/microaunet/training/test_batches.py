"""What a batch is made from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from microaunet.training.batches import Batches
from microaunet.training.pool import Labels, Pool
from microaunet.training.recipe import from_dict

CHANGES = (
    *("flip", "affine", "brightness", "contrast", "saturation", "hue"),
    *("gamma_share", "blur_share", "noise_share", "border_share", "text_share", "erase_share"),
)


@pytest.fixture(scope="module")
def batches() -> Batches:
    """Of two frames of 96 pixels whose rows are black and white in turns, and so are their labels."""
    rows = np.zeros((2, 4, 96, 96), np.uint8)
    rows[:, :, ::2] = 255
    recipe = from_dict(
        {
            "architecture": "edge",
            "train": [],
            "validation": [],
            "size": 64,
            "stored_size": 96,
            "batch": 2,
            "augmentation": dict.fromkeys(CHANGES, 0),
        }
    )
    labels = Labels(rows[:, :1], np.ones(2, np.float32))
    return Batches(recipe, Pool(rows, unlabelled=2, labels=labels), None, Fabric(accelerator="cpu"))


def test_a_small_batch_shows_the_mean_of_the_stored_pixels(batches: Batches) -> None:
    """Rows of single pixels become grey when they are shrunk, and no pattern of their own."""
    for size in (32, 96, 32):
        (batch,) = batches.of_epoch(0, size)
        assert batch.image.shape == (2, 3, size, size)
        for shown in (batch.image[..., 4:-4, 4:-4], batch.mask[..., 4:-4, 4:-4]):
            spread = float(shown.max() - shown.min())
            assert spread < 0.25 if size == 32 else spread == 1
            torch.testing.assert_close(shown.mean(), torch.tensor(0.5), atol=0.05, rtol=0)
