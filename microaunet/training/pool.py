"""The frames of a run: what is known about each, and which of them an epoch shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from microaunet_runtime.errors import InputError


@dataclass(frozen=True)
class Labels:
    """The teachers' outputs for stored frames.

    Attributes:
        probability: uint8 (N, 1, S, S), 0..255.
        presence: float32 (N,), 0..1, that the frame shows a polyp.
    """

    probability: np.ndarray
    presence: np.ndarray


@dataclass(frozen=True)
class Pool:
    """Training frames in three groups, one after the other: with masks, without masks, without a polyp.

    Attributes:
        stored: uint8 (N, 4, S, S), as the cache holds them; the mask of a frame without one is empty.
        unlabelled: how many have no mask that may be used; their teachers' word takes its place.
        polyp_free: how many are known to show no polyp.
        polyp_free_share: share of an epoch's frames that is drawn from the polyp-free ones.
        labels: what teachers say about every frame, in its order; None when they are asked at every step or
            there are none.
    """

    stored: np.ndarray
    unlabelled: int = 0
    polyp_free: int = 0
    polyp_free_share: float = 0.0
    labels: Labels | None = None

    def __post_init__(self) -> None:
        if self.unlabelled and self.labels is None:
            raise InputError(
                "the recipe names unlabelled frames, but no cached teachers that label them: set "
                "distillation.cached=true with teachers, or unlabelled=[]"
            )

    @property
    def with_masks(self) -> int:
        """How many frames have a mask that may be used."""
        return len(self.stored) - self.unlabelled - self.polyp_free

    @property
    def drawn(self) -> int:
        """How many polyp-free frames an epoch draws."""
        others = len(self.stored) - self.polyp_free
        share = self.polyp_free_share
        return min(self.polyp_free, round(others * share / (1 - share)))

    @property
    def per_epoch(self) -> int:
        """How many frames an epoch shows."""
        return len(self.stored) - self.polyp_free + self.drawn

    def order(self, generator: torch.Generator) -> Tensor:
        """Indices of an epoch's frames, int64 (per_epoch,), in random order."""
        others = len(self.stored) - self.polyp_free
        free = torch.randperm(self.polyp_free, generator=generator)[: self.drawn] + others
        indices = torch.cat([torch.arange(others), free])
        return indices[torch.randperm(len(indices), generator=generator)]

    def is_unlabelled(self, indices: Tensor) -> Tensor:
        """Bool (n,): which of the frames ``indices`` have no mask that may be used."""
        return (indices >= self.with_masks) & (indices < self.with_masks + self.unlabelled)
