"""What a candidate bundle must keep besides speed: agreement with the reference, accuracy, size, nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..bundle import Bundle
from ..evaluation.dataset import find_pairs, resolve_set
from ..evaluation.evaluate import evaluate
from ..inference.agreement import Agreement, golden_agreement
from ..inference.session import open_session

MOST_DICE_LOST = 0.01
MOST_GROWTH = 1.10  # of file size and of node count


@dataclass(frozen=True)
class RegressionCheck:
    """One figure of both bundles, and the limit for the candidate's."""

    name: str
    baseline: float
    candidate: float
    limit: float
    passed: bool


def checks(
    baseline: Bundle, candidate: Bundle, *, backend: str, precision: str, data: Path | None
) -> list[RegressionCheck]:
    """All gates but latency. ``dice_image`` is among them when ``data`` is given.

    Raises:
        InputError: a bundle or the data cannot be used.
    """
    both = (baseline, candidate)
    tolerance = baseline.manifest.tolerances[precision]
    agreement = [_golden_agreement(bundle, backend, precision) for bundle in both]
    presence = [found.presence_difference for found in agreement]
    sizes = [bundle.artefact(precision)[1].bytes for bundle in both]
    nodes = [bundle.artefact(precision)[1].nodes for bundle in both]
    results = [
        _at_least("mask_agreement", [found.mask_agreement for found in agreement], tolerance.mask_agreement),
        _at_most("presence_difference", presence, tolerance.presence_difference),
        _at_most("bytes", sizes, MOST_GROWTH * sizes[0]),
        _at_most("nodes", nodes, MOST_GROWTH * nodes[0]),
    ]
    if (limit := tolerance.difference_limit(gpu=backend == "tensorrt")) is not None:
        differences = [found.max_abs_difference for found in agreement]
        results.append(_at_most("max_abs_difference", differences, limit))
    if data is not None:
        dice = [dice_image(bundle, backend, precision, data) for bundle in both]
        results.append(_at_least("dice_image", dice, dice[0] - MOST_DICE_LOST))
    return results


def _golden_agreement(bundle: Bundle, backend: str, precision: str) -> Agreement:
    with open_session(bundle, backend=backend, precision=precision) as session:
        return golden_agreement(session.backend, bundle.golden(), bundle.manifest.threshold)


def dice_image(bundle: Bundle, backend: str, precision: str, data: Path) -> float:
    """Mean Dice over the images of a data set, each at its own size."""
    pairs = find_pairs(resolve_set(data, "val"))
    with open_session(bundle, backend=backend, precision=precision) as session:
        found = evaluate(session.probability, pairs, session.threshold)
    return float(found.summary["dice_image"]["mean"])


def _at_least(name: str, values: Sequence[float], limit: float) -> RegressionCheck:
    return RegressionCheck(name, values[0], values[1], limit, values[1] >= limit)


def _at_most(name: str, values: Sequence[float], limit: float) -> RegressionCheck:
    return RegressionCheck(name, values[0], values[1], limit, values[1] <= limit)
