"""``dice_image`` on validation frames: the figure that training choices are made by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from microaunet_runtime.evaluation.metrics import Confusion
from microaunet_runtime.images.resize import resize_frame, resize_probability

from ..data.cache import load
from ..data.lists import Frame

BATCH = 16
THRESHOLD = 0.5


class Validation:
    """Validation frames as the device would see them, and their masks at native size.

    Args:
        frames: decoded here, once.
        size: pixels per side of the network's input.

    Raises:
        InputError: a frame cannot be read.
    """

    def __init__(self, frames: Sequence[Frame], size: int) -> None:
        pairs = [load(frame) for frame in frames]
        self._masks = [mask for _, mask in pairs]
        images = np.stack([resize_frame(image, size, size) for image, _ in pairs])
        self._images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()

    @torch.inference_mode()
    def dice_image(self, model: nn.Module) -> np.ndarray:
        """Dice per frame, float64 (N,): probability resized to the mask's size, then the threshold."""
        device = next(model.parameters()).device
        scores = []
        for start in range(0, len(self._masks), BATCH):
            images = self._images[start : start + BATCH].to(device).float() / 255
            probabilities = torch.sigmoid(model(images).float())[:, 0].cpu().numpy()
            masks = self._masks[start : start + BATCH]
            for probability, mask in zip(probabilities, masks, strict=True):
                found = (resize_probability(probability, *mask.shape) > THRESHOLD).astype(np.uint8)
                scores.append(Confusion.of(found, mask).dice)
        return np.array(scores)
