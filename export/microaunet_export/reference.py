"""The PyTorch reference: the network as it was trained, before any folding, on x / 255."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


class Reference:
    """``model`` in evaluation mode on frames.

    Args:
        model: float32 (N, 3, H, W) in 0..1 -> logits (N, 1, H, W).
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model.eval()

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Probability, float32 (H, W), of one frame, uint8 (H, W, 3) RGB."""
        with torch.inference_mode():
            x = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
            probability: np.ndarray = torch.sigmoid(self._model(x))[0, 0].numpy()
        return probability
