"""How sure a region must be before a stabilised mask shows it, chosen on validation frames.

    python -m benchmarks.presence --data DATA --weights joint

A mask is cut where Dice is best, and marks something in nearly every frame. Whether there is a polyp at all
is another question, and the surest pixel of a region answers it better. The figure goes into the card as
``presence``: the highest probability that all but a twentieth of the polyps that the mask finds still pass,
in single frames and for PyTorch's probabilities. The card then also says what it does to polyp-free crops of
the same frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from microaunet import checkpoint
from microaunet.data import lists
from microaunet_runtime import files
from microaunet_runtime.backends.pytorch import open_reference
from microaunet_runtime.console import DebugOption, command_app, out
from microaunet_runtime.dataset import Pair, load_pair
from microaunet_runtime.errors import InputError
from microaunet_runtime.images import opencv
from microaunet_runtime.metrics import polyps_found
from microaunet_runtime.preprocess import resize_probability

from .background import SMALLEST_CROP, polyp_free_strip

KEPT = 0.95  # of the polyps that the mask finds: our choice
DIGITS = 4


def presence(
    data: Annotated[Path, typer.Option("--data", help="Holds the sets of the weights' lists.")],
    weights: Annotated[str, typer.Option("--weights", help="A shipped name or a file with a card.")],
    debug: DebugOption = False,
) -> None:
    """Choose the presence of weights on the validation frames of their card, and write it into the card.

    Example: python -m benchmarks.presence --data DATA --weights joint
    """
    card_path = checkpoint.locate(weights).with_suffix(".json")
    card = files.read_json(card_path)
    frames, _ = lists.resolve(card["data"]["lists"]["validation"], data)
    found, crops = [], []
    with open_reference(weights) as session:
        for frame in frames:
            image, mask = load_pair(Pair(frame.image.stem, frame.image, frame.mask))
            found += levels(session.probability(image), mask, session.threshold)
            if strip := polyp_free_strip(mask, SMALLEST_CROP):
                crops.append(session.probability(np.ascontiguousarray(image[strip])).max())
        threshold = session.threshold
    if not found:
        raise InputError(f"{weights} finds no polyp in its validation frames: there is nothing to choose by")
    chosen = max(threshold, np.floor(np.quantile(found, 1 - KEPT) * 10**DIGITS) / 10**DIGITS)
    card["presence"] = float(chosen)
    card["figures"]["presence"] = {
        "polyps_found_by_the_mask": len(found),
        "of_these_sure": int(np.sum(np.array(found) > chosen)),
        "polyp_free_crops": len(crops),
        "marked_by_the_mask": int(np.sum(np.array(crops) > threshold)),
        "sure": int(np.sum(np.array(crops) > chosen)),
        "command": f"python -m benchmarks.presence --data DATA --weights {weights}",
    }
    files.write_json(card_path, card)
    out.print(f"presence {chosen:g}:", card["figures"]["presence"], markup=False)


def levels(probability: np.ndarray, truth: np.ndarray, threshold: float) -> list[float]:
    """The highest probability inside each polyp that the mask finds.

    Args:
        probability: float32 (H, W).
        truth: mask (h, w); its connected parts are the polyps.
    """
    probability = resize_probability(probability, *truth.shape)
    predicted = probability > threshold
    count, labels = opencv().connectedComponents(truth, connectivity=8)
    parts = [labels == label for label in range(1, count)]
    return [float(probability[part].max()) for part in parts if polyps_found(predicted, part)[0]]


if __name__ == "__main__":
    command_app(presence)()
