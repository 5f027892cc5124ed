"""Presence: how sure a network is that a frame shows a polyp at all, by a head or by its map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WINDOW = 8  # pixels per side that are averaged before the surest place of a map is looked for


class PresenceHead(nn.Module):
    """The logit (N,) that a frame shows a polyp at all, from a coarse stage (N, C, H, W).

    The mean of a channel describes the kind of frame, its maximum whether one place stands out: a small
    polyp changes only the second. One linear map joins them: 2 C + 1 parameters.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(2 * channels, 1, 1)
        nn.init.zeros_(self.linear.weight)
        assert self.linear.bias is not None
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.cat([x.mean((2, 3)), x.amax((2, 3))], 1)
        # As a matrix product: what quantises convolutions then leaves it alone.
        return F.linear(pooled, self.linear.weight.flatten(1), self.linear.bias).flatten()


def head_of(model: nn.Module) -> PresenceHead | None:
    """The network's presence head, which reads its last stage output; None when it has none."""
    head = getattr(model, "presence", None)
    return head if isinstance(head, PresenceHead) else None


def of_map(logits: Tensor) -> Tensor:
    """The presence logits (N,) that a map (N, 1, H, W) gives: its surest window of ``WINDOW`` pixels."""
    return F.avg_pool2d(logits, WINDOW).amax((1, 2, 3))


def predict(model: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, 1, H, W), and the logits (N,) that the frames x (N, 3, H, W) show a polyp at all.

    Without a presence head these are the largest mean logit of a window of ``WINDOW`` pixels.
    """
    if (head := head_of(model)) is None:
        logits = model(x)
        return logits, of_map(logits)
    logits, features = model(x, return_features=True)
    return logits, head(features[-1])
