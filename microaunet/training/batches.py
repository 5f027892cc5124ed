"""The batches of a training run, made one ahead of the training.

Every epoch draws its randomness from (seed, epoch, process) alone. So a resumed run continues exactly, and no
state of a random generator needs to be kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from ..data.augment import Augmenter
from .distill import Teaching
from .pool import Pool
from .recipe import Recipe

Teach = Callable[[Tensor], Teaching]
LEAST = 1 / 510  # a stored probability is known to half a step of 1 / 255
VISIBLE = 5e-4  # share of a view that must be polyp for the view to count as showing one


class Batch(NamedTuple):
    """The input of one step: float32 image (N, 3, H, W), mask (N, 1, H, W), presence (N,); teachers."""

    image: Tensor
    mask: Tensor
    presence: Tensor
    teaching: Teaching | None


class Batches:
    """The batches of each epoch, of this process.

    Args:
        recipe, pool, teach, fabric: as of :class:`.loop.Trainer`.

    Attributes:
        steps: batches in an epoch.
    """

    def __init__(self, recipe: Recipe, pool: Pool, teach: Teach | None, fabric: Fabric) -> None:
        self._recipe, self._pool, self._teach, self._fabric = recipe, pool, teach, fabric
        self.steps = pool.per_epoch // recipe.batch
        # On a GPU the frames live there; on a CPU they stay in the memory-mapped files.
        self._stored = torch.from_numpy(pool.stored).to(fabric.device)
        self._labels = torch.from_numpy(pool.labels.probability).to(fabric.device) if pool.labels else None

    def of_epoch(self, epoch: int, size: int) -> Iterator[Batch]:
        """This process's share of the epoch's batches; the next one is made while one is trained on."""
        rank, world = self._fabric.global_rank, self._fabric.world_size
        shuffle = torch.Generator().manual_seed(_seed(self._recipe.seed, epoch))
        order = self._pool.order(shuffle)
        batches = order[: self.steps * self._recipe.batch].view(self.steps, self._recipe.batch)[
            :, rank::world
        ]
        augment = Augmenter(
            self._recipe.augmentation, _seed(self._recipe.seed, epoch, rank), self._fabric.device
        )
        torch.manual_seed(_seed(self._recipe.seed, epoch, rank))

        def make(step: int) -> Batch:
            return self._make(batches[step], augment, size)

        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(make, 0)
            for step in range(self.steps):
                batch = coming.result()
                if step + 1 < self.steps:
                    coming = ahead.submit(make, step + 1)
                yield batch

    def _make(self, indices: Tensor, augment: Augmenter, size: int) -> Batch:
        """One batch of the frames ``indices``."""
        device = self._fabric.device
        stored = self._stored[indices.to(device)]
        if self._labels is None:
            image, mask = augment(stored, size)
            image = image.contiguous(memory_format=torch.channels_last)
            presence = (mask.mean((1, 2, 3)) > VISIBLE).float()
            return Batch(image, mask, presence, self._teach(image) if self._teach else None)
        image, maps = augment(torch.cat([stored, self._labels[indices.to(device)]], 1), size)
        image = image.contiguous(memory_format=torch.channels_last)
        mask, said = maps[:, :1], maps[:, 1:]
        presence = (mask.mean((1, 2, 3)) > VISIBLE).float()
        assert self._pool.labels is not None  # as there are labels on the device
        # A frame without a mask is what its teachers say; its polyp may lie outside of the view.
        unlabelled = self._pool.is_unlabelled(indices).to(device)
        believed = torch.from_numpy(self._pool.labels.presence[indices.numpy()]).to(device)
        visible = torch.minimum(believed, F.avg_pool2d(said, 8).amax((1, 2, 3)))
        mask = torch.where(unlabelled[:, None, None, None], said, mask)
        presence = torch.where(unlabelled, visible, presence)
        return Batch(image, mask, presence, Teaching(torch.logit(said, LEAST), []))


def _seed(*facts: int) -> int:
    """One seed from several numbers."""
    return int(np.random.SeedSequence(facts).generate_state(1, np.uint32)[0])
