"""The figures that training choices are based on: ``dice_image``, and presence against polyp-free frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from microaunet_runtime.evaluation.metrics import Confusion, auc, mask_agreement
from microaunet_runtime.images.resize import resize_frame, resize_probability

from ..data.cache import load
from ..data.lists import ListedFrame
from ..models.presence_head import predict
from ..quantisation.simulated import SimulatedInt8

BATCH = 16
THRESHOLD = 0.5


@dataclass(frozen=True)
class Scores:
    """One validation.

    Attributes:
        dice: per frame with a polyp, float64 (N,).
        presence_auc: area under the curve of presence, frames with a polyp against those without one; None
            without any of these.
        agreement: mean mask agreement of simulated INT8 with the same weights in float; None without it.
    """

    dice: np.ndarray
    presence_auc: float | None
    agreement: float | None = None

    @property
    def choice(self) -> float:
        """The figure by which the best epoch is chosen: the mean of those that there are."""
        figures = (float(self.dice.mean()), self.presence_auc, self.agreement)
        return float(np.mean([figure for figure in figures if figure is not None]))


class Validation:
    """Validation frames as the device would see them, and their masks at native size.

    Args:
        frames: with polyps; decoded here, once.
        size: pixels per side of the network's input.
        polyp_free: frames that show none.

    Raises:
        InputError: a frame cannot be read.
    """

    def __init__(
        self, frames: Sequence[ListedFrame], size: int, polyp_free: Sequence[ListedFrame] = ()
    ) -> None:
        pairs = [load(frame) for frame in frames]
        self._masks = [mask for _, mask in pairs]
        self._images = _stack([image for image, _ in pairs], size)
        self._free = _stack([load(frame)[0] for frame in polyp_free], size)

    @torch.inference_mode()
    def scores(self, model: nn.Module) -> Scores:
        """Dice at native size after the threshold, and how well presence separates both kinds of frame.

        Where INT8 is simulated, they are INT8's, and it is compared with float, too.
        """
        dice, polyp = [], []
        for start, logits, presence in _predictions(model, self._images):
            probabilities = torch.sigmoid(logits)[:, 0].cpu().numpy()
            masks = self._masks[start : start + BATCH]
            for probability, mask in zip(probabilities, masks, strict=True):
                found = (resize_probability(probability, *mask.shape) > THRESHOLD).astype(np.uint8)
                dice.append(Confusion.of(found, mask).dice)
            polyp.append(presence.cpu().numpy())
        free = [presence.cpu().numpy() for _, _, presence in _predictions(model, self._free)]
        return Scores(
            np.array(dice),
            auc(np.concatenate(polyp), np.concatenate(free)) if free else None,
            self._agreement(model) if isinstance(model, SimulatedInt8) else None,
        )

    def _agreement(self, model: SimulatedInt8) -> float:
        """The mean mask agreement of INT8 with float, at the network's size."""
        found = []
        for start in range(0, len(self._images), BATCH):
            images = self._images[start : start + BATCH].to(model.learned.device).float() / 255
            masks = [(logits > 0).cpu().numpy() for logits in (model(images), model.compute_in_float(images))]
            found += [mask_agreement(*pair) for pair in zip(*masks, strict=True)]
        return float(np.mean(found))


def _stack(images: list[np.ndarray], size: int) -> Tensor:
    """Uint8 (N, 3, size, size)."""
    resized = [resize_frame(image, size, size) for image in images]
    stacked = np.array(resized, np.uint8).reshape(-1, size, size, 3)
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).contiguous()


def _predictions(model: nn.Module, images: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The index of each batch's first frame, logits (n, 1, H, W) and presence logits (n,), float32."""
    device = next(model.parameters()).device
    for start in range(0, len(images), BATCH):
        logits, presence = predict(model, images[start : start + BATCH].to(device).float() / 255)
        yield start, logits.float(), presence.float()
