"""A small network with fixed random weights, for the tests of the export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from microaunet import checkpoint
from microaunet.models import create
from microaunet_export.reference import Reference
from microaunet_runtime.images import synthetic

SIZE = 64

# Random weights agree less in FP16 and INT8 than the gates ask of trained ones.
LENIENT = (
    *("--int8-agreement", "0.5", "--int8-presence-difference", "0.5"),
    *("--fp16-agreement", "0.9"),
)


def lively_network(architecture: str = "edge", seed: int = 0) -> torch.nn.Module:
    """Random weights whose probabilities differ from pixel to pixel, with BatchNorms that do something."""
    torch.manual_seed(seed)
    model = create(architecture).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 1.0, 2.0)
            torch.nn.init.uniform_(module.bias, -0.2, 0.4)
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.3, 1.0)
    head = model.head
    torch.nn.init.normal_(head.weight, std=0.2)
    return model


def write_weights(path: Path, seed: int = 0) -> Path:
    """Weights of a small frame size; the threshold cuts a synthetic frame in halves."""
    model = lively_network(seed=seed)
    frame, _ = synthetic.frame(0, SIZE, SIZE)
    threshold = float(np.clip(np.median(Reference(model)(frame)[0]), 0.01, 0.99))
    checkpoint.save(path, model, "edge", {"size": SIZE, "threshold": threshold, "presence": 0.25})
    return path
