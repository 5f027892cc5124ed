"""From which presence on a stabilised mask shows regions, chosen on validation frames.

    python -m benchmarks.shipping.choose_presence --data DATA --weights joint

The figure goes into the card as ``stabilised_presence``: the highest presence that 9 of 10 polyps reach in
two frames in a row within a second, in scenes made from the validation frames. The card then also says how
many polyp-free scenes reach it. Not more than 9 of 10, as a polyp stays in view for many seconds, each with
its chance, and false alarms add up over all the minutes without one.
"""

from __future__ import annotations

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
from microaunet_runtime.evaluation.dataset import load_pair
from microaunet_runtime.inference.pytorch import open_reference
from microaunet_runtime.inference.session import Session

from ..measuring.scenes import SMALLEST_CROP, scene

KEPT = 0.9  # of the polyps: our choice
DIGITS = 4


def presence(
    data: Annotated[Path, typer.Option("--data", help="Holds the sets of the weights' lists.")],
    weights: Annotated[str, typer.Option("--weights", help="A shipped name or a file with a card.")],
    debug: DebugOption = False,
) -> None:
    """Choose the stabilised presence of weights on their validation frames, and write it into the card.

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
            polyps.append(level(session, image, random))
            if strip := polyp_free_strip(mask, SMALLEST_CROP):
                free.append(level(session, image[strip], random))
    lowest = np.quantile(polyps, 1 - KEPT, method="lower")  # one of them, as each must be passed
    chosen = float((np.ceil(lowest * 10**DIGITS) - 1) / 10**DIGITS)
    card["stabilised_presence"] = chosen
    card["figures"]["stabilised_presence"] = {
        "polyp_scenes": len(polyps),
        "polyp_scenes_shown": int(np.sum(np.array(polyps) > chosen)),
        "polyp_free_scenes": len(free),
        "polyp_free_scenes_shown": int(np.sum(np.array(free) > chosen)),
        "command": f"python -m benchmarks.shipping.choose_presence --data DATA --weights {weights}",
    }
    files.write_json(card_path, card)
    out.print(f"stabilised presence {chosen:g}:", card["figures"]["stabilised_presence"], markup=False)


def level(session: Session, image: np.ndarray, random: np.random.Generator) -> float:
    """The highest presence that two frames in a row of a scene over ``image`` reach."""
    levels = [session.run(frame).presence for frame, _ in scene(image, random)]
    return max(min(pair) for pair in pairwise(levels))


if __name__ == "__main__":
    command_app(presence)()
