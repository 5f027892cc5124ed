"""The PyTorch reference: the network as it was trained, before any folding, on x / 255."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from microaunet.models.presence import predict


class Reference:
    """``model`` in evaluation mode on frames.

    Args:
        model: float32 (N, 3, H, W) in 0..1 -> logits (N, 1, H, W).
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model.eval()

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """Probability, float32 (H, W), and presence of one frame, uint8 (H, W, 3) RGB."""
        with torch.inference_mode():
            x = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
            logits, presence = predict(self._model, x)
        return torch.sigmoid(logits)[0, 0].numpy(), float(torch.sigmoid(presence))
