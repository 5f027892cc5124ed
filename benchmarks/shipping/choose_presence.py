"""How sure a region must be before a stabilised mask shows it, chosen on validation frames.

    python -m benchmarks.shipping.choose_presence --data DATA --weights joint

A mask is cut where Dice is best, and marks something in nearly every frame. Whether there is a polyp at all
is another question, and how sure a region is answers it better. The figure goes into the card as
``presence``: the highest probability that 9 of 10 polyps pass, over a hundredth of the view and in two frames
in a row within a second, in scenes made from the validation frames. The card then also says how many
polyp-free scenes pass it. Not more than 9 of 10, as a polyp stays in view for many seconds, each with its
chance, and false alarms add up over all the minutes without one.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from microaunet import checkpoint
from microaunet.data import lists
from microaunet.data.background import polyp_free_strip
from microaunet_runtime import files
from microaunet_runtime.console import DebugOption, command_app, out, progress
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import load_pair
from microaunet_runtime.images.resize import resize_mask
from microaunet_runtime.inference.pytorch import open_reference
from microaunet_runtime.inference.session import Session
from microaunet_runtime.stream.stabilise import Stabilisation

from ..measuring.scenes import SMALLEST_CROP, scene

KEPT = 0.9  # of the polyps: our choice
DIGITS = 4


def presence(
    data: Annotated[Path, typer.Option("--data", help="Holds the sets of the weights' lists.")],
    weights: Annotated[str, typer.Option("--weights", help="A shipped name or a file with a card.")],
    debug: DebugOption = False,
) -> None:
    """Choose the presence of weights on the validation frames of their card, and write it into the card.

    Example: python -m benchmarks.shipping.choose_presence --data DATA --weights joint
    """
    card_path = checkpoint.locate(weights).with_suffix(".json")
    card = files.read_json(card_path)
    frames, _ = lists.resolve(card["data"]["lists"]["validation"], data)
    random = np.random.default_rng(0)
    polyps, free = [], []
    with open_reference(weights) as session, progress() as bar:
        for frame in bar.track(frames, description="scenes"):
            image, mask = load_pair(frame.pair)
            polyps.append(level(session, image, mask, random))
            if strip := polyp_free_strip(mask, SMALLEST_CROP):
                free.append(level(session, image[strip], np.ones_like(mask[strip]), random))
        threshold = session.threshold
    lowest = np.quantile(polyps, 1 - KEPT, method="lower")  # one of them, as each must be passed
    chosen = float((np.ceil(lowest * 10**DIGITS) - 1) / 10**DIGITS)
    if chosen <= threshold:
        raise InputError(
            f"{weights} misses polyps of its validation frames: train longer, there is no presence"
        )
    card["presence"] = chosen
    card["figures"]["presence"] = {
        "polyp_scenes": len(polyps),
        "polyp_scenes_shown": int(np.sum(np.array(polyps) > chosen)),
        "polyp_free_scenes": len(free),
        "polyp_free_scenes_shown": int(np.sum(np.array(free) > chosen)),
        "polyp_free_scenes_shown_at_the_threshold": int(np.sum(np.array(free) > threshold)),
        "command": f"python -m benchmarks.shipping.choose_presence --data DATA --weights {weights}",
    }
    files.write_json(card_path, card)
    out.print(f"presence {chosen:g}:", card["figures"]["presence"], markup=False)


def level(session: Session, image: np.ndarray, mask: np.ndarray, random: np.random.Generator) -> float:
    """The highest presence at which a scene over ``image`` shows something where ``mask`` is not 0."""
    levels = []
    for frame, place in scene(image, random):
        probability = session.probability(frame)
        levels.append(sure_level(probability * (resize_mask(mask[place], *probability.shape) > 0)))
    return max(min(pair) for pair in pairwise(levels))


def sure_level(probability: np.ndarray) -> float:
    """What so many pixels pass as a region must be sure of, of a probability (H, W)."""
    least = math.ceil(Stabilisation().sure_share * probability.size)
    return float(np.partition(probability, -least, axis=None)[-least])


if __name__ == "__main__":
    command_app(presence)()
