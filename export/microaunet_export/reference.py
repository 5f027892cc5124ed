"""The PyTorch reference: the network as it was trained, before any folding, on normalised frames."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from microaunet.models.presence_head import predict

from .normalise import Normalisation

# From a frame, uint8 (H, W, 3) RGB, to the probability, float32 (H, W), and the presence that all files are
# compared with.
Expected = Callable[[np.ndarray], tuple[np.ndarray, float]]


class Reference:
    """``model`` in evaluation mode on frames.

    Args:
        model: float32 (N, 3, H, W), normalised -> logits (N, 1, H, W).
    """

    def __init__(self, model: nn.Module, normalisation: Normalisation | None = None) -> None:
        self._model = model.eval()
        self._normalise = normalisation or Normalisation()

    def __call__(self, frame: np.ndarray) -> tuple[np.ndarray, float]:
        """Probability, float32 (H, W), and presence of one frame, uint8 (H, W, 3) RGB."""
        with torch.inference_mode():
            logits, presence = predict(self._model, torch.from_numpy(self._normalise(frame)))
        return torch.sigmoid(logits)[0, 0].numpy(), float(torch.sigmoid(presence))
