"""Figures of the shipped weights on their test sets, written into their cards.

    python -m benchmarks.shipping.cards --data DATA

Each card then names the command that made its figures. Only programs that report figures read the test sets:
this one, and where repeats (``benchmarks.seeds``) and exported files (``benchmarks.int8``) are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from microaunet import checkpoint
from microaunet.data.background import polyp_free_strip
from microaunet.models import parameters
from microaunet.models.complexity import count_macs
from microaunet_export.accuracy import OPERATING_CURVE
from microaunet_runtime import console, files
from microaunet_runtime.console import DebugOption
from microaunet_runtime.evaluation.dataset import Pair, load_pair
from microaunet_runtime.evaluation.evaluate import evaluate
from microaunet_runtime.evaluation.metrics import interval
from microaunet_runtime.inference.pytorch import open_reference
from microaunet_runtime.inference.session import Session

from ..measuring.reported import reported, reported_pairs
from ..measuring.scenes import SMALLEST_CROP
from ..presence import measure

KEYS = (
    "images",
    "dice_image",
    "miou",
    "precision",
    "recall",
    "hd95",
    "dice_pooled",
    "dice_by_size",
    "polyp_sensitivity",
    "pranet",
)


def run(
    data: Annotated[Path, typer.Option(help="Holds kvasir-seg/ and cvc-clinicdb/.")],
    weights: Annotated[
        list[str] | None, typer.Option(help="Shipped names or files; all shipped by default.")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Measure shipped weights on their test sets and write the figures into their cards.

    Example: python -m benchmarks.shipping.cards --data DATA --weights kvasir
    """
    for name in weights or checkpoint.shipped():
        figures: dict[str, Any] = {}
        sources = reported(name)
        with open_reference(name) as session:
            for figure, source in sources.items():
                pairs = reported_pairs(source, data)
                summary = evaluate(session.probability, pairs, session.threshold, pranet=True).summary
                figures[figure] = {key: summary[key] for key in KEYS}
                figures[figure]["background_crops"] = background(session, pairs)
                dice = summary["dice_image"]
                console.out.print(
                    f"{name} {figure}: dice_image {dice['mean']:.4f} ({dice['low']:.4f} - {dice['high']:.4f})"
                )
        found = checkpoint.load(name)
        if found.presence:
            figures[OPERATING_CURVE] = operating_curve(measure(name, data))
        path = checkpoint.locate(name).with_suffix(".json")
        card = files.read_json(path)
        card["parameters"] = parameters(found.model)
        card["macs"] = {
            "value": count_macs(found.model, card["size"], card["size"]),
            "counted_by": f"torch.utils.flop_counter at {card['size']} x {card['size']}",
        }
        card["figures"] |= figures
        card["figures"]["command"] = f"python -m benchmarks.shipping.cards --data DATA --weights {name}"
        files.write_json(path, card)


def operating_curve(found: dict[str, Any]) -> dict[str, Any]:
    """What the card keeps of :func:`benchmarks.presence.measure`; a report draws its curve from it."""
    return {
        "operating_point": found["operating_point"],
        "polyp_free": found["polyp_free"]["all"],
        "sets": {
            figure: {key: entry[key] for key in ("polyps", "auc", "curve")}
            for figure, entry in found["sets"].items()
        },
    }


def background(session: Session, pairs: Sequence[Pair]) -> dict[str, Any]:
    """False positives on polyp-free crops: the largest of the four strips beside the polyps of each frame."""
    shares, alarms = [], []
    for frame, mask in map(load_pair, pairs):
        if strip := polyp_free_strip(mask, SMALLEST_CROP):
            wrong = session.run(np.ascontiguousarray(frame[strip])).mask
            shares.append(float(wrong.mean()))
            alarms.append(float(wrong.any()))
    return {
        "crops": len(shares),
        "false_positive_share": interval(shares),
        "crops_with_any": interval(alarms),
    }


app = console.command_app(run)

if __name__ == "__main__":
    app()
