"""The PyTorch reference: trained weights as they are, without an export.

The one place where the runtime meets torch, and only when it is called: what a bundle is compared with.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..optional import require
from .session import Session

REMEDY = "install microaunet[train], or evaluate a bundle (--bundle), which needs no torch"


class PyTorchBackend:
    """A network from :mod:`microaunet.checkpoint` on the CPU in FP32."""

    name = "pytorch"
    note = ""
    precision = "fp32"

    def __init__(self, model: Any, threshold: float, threads: int = 1) -> None:
        """Take ``model``: float32 (N, 3, H, W) of 0..1 to logits (N, 1, H, W).

        Args:
            threads: CPU threads, for all of torch in this process.
        """
        self._torch: Any = require("torch", REMEDY)
        self._torch.set_num_threads(threads)
        self._model = model
        self._threshold = threshold

    def infer(self, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run uint8 (1, H, W, 3) RGB: float32 (1, 1, H, W) probability and uint8 (1, 1, H, W) mask."""
        with self._torch.inference_mode():
            scaled = self._torch.from_numpy(frame).permute(0, 3, 1, 2).float() / 255
            probability = self._model(scaled).sigmoid().numpy()
        return probability, (probability > self._threshold).view(np.uint8)

    def close(self) -> None:
        """Free the network."""
        self._model = None


def open_reference(weights: str | Path, *, threshold: float | None = None, threads: int = 1) -> Session:
    """Open trained weights as a session.

    Args:
        weights: a shipped name or a .safetensors file.
        threshold: replaces the weights' own.

    Raises:
        InputError: the weights cannot be used, or a threshold outside (0, 1).
        MissingDependencyError: microaunet's training package or torch is not installed.
    """
    if threshold is not None and not 0 < threshold < 1:
        raise InputError(f"threshold {threshold} is not between 0 and 1")
    checkpoint = require("microaunet.checkpoint", REMEDY).load(weights)
    chosen = checkpoint.threshold if threshold is None else threshold
    backend = PyTorchBackend(checkpoint.model, chosen, threads)
    height, width = checkpoint.size
    return Session(backend, height, width, chosen, f"pytorch fp32, weights {checkpoint.name}")
