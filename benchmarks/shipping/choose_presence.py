"""The operating points of weights, chosen on validation frames and written into their card.

    python -m benchmarks.shipping.choose_presence --data DATA --weights general

``presence`` is for single frames: the lowest at which 90 % of all polyp-free validation frames are shown
nothing, and 85 % of those of each source with at least 50. Each source has scopes of its own, and the worst
of them is the nearest to an unseen centre. The card then gives the figures of each source. Weights that
learned from no frame without a polyp get none: presence tells them too little.

``stabilised_presence`` is for ``--stabilise``: the highest that 95 of 100 polyps reach in two frames in a row
within a second, in scenes made from validation frames. More than the 9 of 10 that are asked for, as fewer are
found on sequences and scopes that no choice was made on; not all, as a polyp stays in view for many seconds,
each with its chance, and false alarms add up over all the minutes without one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from microaunet import checkpoint
from microaunet.data import lists
from microaunet_runtime import files
from microaunet_runtime.console import DebugOption, command_app, out, progress
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.operating_point import SeenFrame, point_of_specificity, presence_summary
from microaunet_runtime.images import read_image
from microaunet_runtime.inference.pytorch import open_reference
from microaunet_runtime.inference.session import Session

from ..measuring.scenes import scene
from ..measuring.seen import polyp_free_lists, see

CLEAN = 0.9  # of all polyp-free frames: our choice; at 95 % a tenth of the polyps more would be hidden
CLEAN_PER_SOURCE = 0.85
LEAST_FRAMES = 50  # of a source, or its share is decided by a handful
KEPT = 0.95  # of the polyps, with stabilisation
SCENES = 100  # of either kind; a scene is 25 frames
DIGITS = 4


def presence(
    data: Annotated[Path, typer.Option("--data", help="Holds the sets of the weights' lists.")],
    weights: Annotated[str, typer.Option("--weights", help="A shipped name or a file with a card.")],
    debug: DebugOption = False,
) -> None:
    """Choose the operating points of weights on validation frames, and write them into their card.

    Example: python -m benchmarks.shipping.choose_presence --data DATA --weights general
    """
    card_path = checkpoint.locate(weights).with_suffix(".json")
    card = files.read_json(card_path)
    polyp_lists: list[str] = card["data"]["lists"]["validation"]
    own_free_lists: list[str] = card["data"]["lists"].get("polyp_free_validation", [])
    free_lists = own_free_lists or polyp_free_lists("validation")
    if unknown := set(polyp_lists) - set(lists.names()):
        raise InputError(f"{weights} was validated on {', '.join(unknown)}, which is no committed list")
    random = np.random.default_rng(0)
    with open_reference(weights) as session, progress() as bar:
        named = bar.track([*polyp_lists, *free_lists], description="validation lists")
        seen = {name: see(session, name, data) for name in named}
        levels = {
            kind: [
                level(session, image, random)
                for image in bar.track(_spread(names, data), description=f"{kind} scenes")
            ]
            for kind, names in (("polyp", polyp_lists), ("polyp-free", free_lists))
        }
    stabilised = _below(float(np.quantile(levels["polyp"], 1 - KEPT, method="lower")))
    command = f"python -m benchmarks.shipping.choose_presence --data DATA --weights {weights}"
    points = {"stabilised_presence": stabilised}
    if own_free_lists:
        points["presence"] = operating_point({name: seen[name] for name in own_free_lists})
        card["figures"]["presence"] = {**_by_source(seen, points["presence"]), "command": command}
    card |= points
    card["figures"]["stabilised_presence"] = {
        "polyp_scenes": len(levels["polyp"]),
        "polyp_scenes_shown": int(np.sum(np.array(levels["polyp"]) >= stabilised)),
        "polyp_free_scenes": len(levels["polyp-free"]),
        "polyp_free_scenes_shown": int(np.sum(np.array(levels["polyp-free"]) >= stabilised)),
        "command": command,
    }
    files.write_json(card_path, card)
    out.print_json(data={key: {"point": points[key], **card["figures"][key]} for key in points})


def operating_point(polyp_free: Mapping[str, Sequence[SeenFrame]]) -> float:
    """From which presence on regions are shown, by the polyp-free frames of each source.

    Raises:
        InputError: no presence separates enough of them from polyps.
    """
    everything = [frame for frames in polyp_free.values() for frame in frames]
    points = [
        point_of_specificity(everything, CLEAN),
        *(
            point_of_specificity(frames, CLEAN_PER_SOURCE)
            for frames in polyp_free.values()
            if len(frames) >= LEAST_FRAMES
        ),
    ]
    point = math.ceil(max(points) * 10**DIGITS) / 10**DIGITS
    if point >= 1:
        raise InputError("the weights are sure of a polyp in too many polyp-free frames: train longer")
    return point


def _below(value: float) -> float:
    return math.floor(value * 10**DIGITS) / 10**DIGITS


def _by_source(seen: Mapping[str, Sequence[SeenFrame]], point: float) -> dict[str, Any]:
    """What each list, and all together, come to at ``point``."""
    summary = presence_summary([frame for frames in seen.values() for frame in frames], point)
    del summary["curve"]
    sources: dict[str, Any] = {}
    for name, frames in seen.items():
        found = presence_summary(frames, point)
        if free := found.get("polyp_free"):
            sources[name] = {"frames": free["frames"], "clean": free["clean"]}
        if polyps := found.get("polyps"):
            sources[name] = {"frames": polyps["frames"], "found": polyps["found"]}
    return {**summary, "sources": sources}


def _spread(names: Sequence[str], data: Path) -> list[np.ndarray]:
    """Up to :data:`SCENES` evenly spaced images of committed lists, uint8 (h, w, 3)."""
    frames, _ = lists.resolve_images(names, data)
    chosen = np.linspace(0, len(frames) - 1, min(SCENES, len(frames)))
    return [read_image(frames[round(index)].image) for index in chosen]


def level(session: Session, image: np.ndarray, random: np.random.Generator) -> float:
    """The highest presence that two frames in a row of a scene over ``image`` reach."""
    levels = [session.see(frame)[1] for frame, _ in scene(image, random)]
    return max(min(pair) for pair in pairwise(levels))


if __name__ == "__main__":
    command_app(presence)()
