"""Training graph -> deploy graph: the same function in fewer operations, and frames in 0..255.

Exact folds only: BatchNorm after a convolution, and the input scale into the first convolution. What would
be wrong at a zero-padded border (a shift before a padded convolution) or depends on the frame (GroupNorm)
stays.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

INPUT_SCALE = 1 / 255


def deploy(model: nn.Module) -> nn.Module:
    """An evaluation-mode copy of ``model`` for export.

    It takes float32 (N, 3, H, W) in 0..255 and returns logits (N, 1, H, W), within rounding of
    ``model(x / 255)``.

    Raises:
        ValueError: the first layers to read the frame are not convolutions, so the scale cannot be folded.
    """
    fused = copy.deepcopy(model).eval()
    for parent in fused.modules():
        _fold_batch_norms(parent)
    _fold_input_scale(fused)
    return fused.requires_grad_(False)


def _fold_batch_norms(parent: nn.Module) -> None:
    """Fold each BatchNorm that follows a convolution among ``parent``'s children."""
    children = list(parent.named_children())
    for (name, conv), (norm_name, norm) in itertools.pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(parent, name, fuse_conv_bn_eval(conv, norm))
            setattr(parent, norm_name, nn.Identity())


def _fold_input_scale(model: nn.Module) -> None:
    """Scale the convolutions that read the frame itself. Zero padding stays zero: exact at borders."""
    frame = torch.rand(1, 3, 128, 128, dtype=next(model.parameters()).dtype)
    readers: list[nn.Module] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        if inputs and inputs[0] is frame:
            readers.append(module)

    hooks = [
        m.register_forward_hook(note) for m in model.modules() if m is not model and not list(m.children())
    ]
    with torch.no_grad():
        model(frame)
    for hook in hooks:
        hook.remove()
    convolutions = [reader for reader in readers if isinstance(reader, nn.Conv2d)]
    if not readers or len(convolutions) < len(readers):
        raise ValueError("the input scale folds only into convolutions that read the frame")
    for convolution in convolutions:
        convolution.weight.data *= INPUT_SCALE
