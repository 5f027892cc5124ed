"""The PyTorch reference: trained weights as they are, without an export.

The one place where the runtime meets torch, and only when it is called: what a bundle is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..optional import require
from .backend import Outputs
from .session import Session, check_operating_point

REMEDY = "install microaunet[train], or evaluate a bundle (--bundle), which needs no torch"


class PyTorchBackend:
    """A network from :mod:`microaunet.checkpoint` on the CPU in FP32."""

    name = "pytorch"
    note = ""
    precision = "fp32"

    def __init__(self, predict: Callable[[Any], Any], threshold: float, threads: int = 1) -> None:
        """Take ``predict``: float32 (1, 3, H, W) of 0..1 to logits (1, 1, H, W) and presence logits (1,).

        Args:
            threads: CPU threads, for all of torch in this process.
        """
        self._torch: Any = require("torch", REMEDY)
        self._torch.set_num_threads(threads)
        self._predict: Callable[[Any], Any] | None = predict
        self._threshold = threshold

    def infer(self, frame: np.ndarray) -> Outputs:
        """The outputs for a frame uint8 (1, H, W, 3) RGB.

        Raises:
            InputError: the backend was closed.
        """
        if self._predict is None:
            raise InputError("this session was closed: open another one")
        with self._torch.inference_mode():
            scaled = self._torch.from_numpy(frame).permute(0, 3, 1, 2).float() / 255
            logits, presence = self._predict(scaled)
        probability = logits.sigmoid().numpy()
        return Outputs(
            probability, (probability > self._threshold).view(np.uint8), presence.sigmoid().numpy()
        )

    def close(self) -> None:
        """Free the network."""
        self._predict = None


def open_reference(
    weights: str | Path,
    *,
    threshold: float | None = None,
    presence: float | None = None,
    threads: int = 1,
) -> Session:
    """Open trained weights as a session.

    Args:
        weights: a shipped name or a .safetensors file.
        threshold, presence: replace the weights' own.

    Raises:
        InputError: the weights cannot be used, a threshold outside (0, 1) or a presence outside [0, 1).
        MissingDependencyError: microaunet's training package or torch is not installed.
    """
    check_operating_point(threshold, presence)
    checkpoint = require("microaunet.checkpoint", REMEDY).load(weights)
    predict = require("microaunet.models.presence_head", REMEDY).predict
    chosen = checkpoint.threshold if threshold is None else threshold
    backend = PyTorchBackend(partial(predict, checkpoint.model), chosen, threads)
    return Session(
        backend,
        *checkpoint.size,
        threshold=chosen,
        presence=checkpoint.presence if presence is None else presence,
        note=f"pytorch fp32, weights {checkpoint.name}",
    )
