"""The accuracy that the card of the weights states, checked, for the top of the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from microaunet_runtime.errors import InputError

OPERATING_CURVE = "operating_curve"
"""The key of a card under which its figures on test frames with and without a polyp are."""


def of_card(card: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The figures of a card that a report shows, as JSON.

    Args:
        card: of the weights, read from ``path``.

    Returns:
        ``sets``, by set of frames {frames, dice_image {mean, low, high}}, ``frames`` null when the card does
        not say it; and ``operating_curve``, null when the card has none: {operating_point, polyp_free
        {frames, clean, specificity}, sets}, by set {polyps {frames, found, sensitivity}, auc, curve}.

    Raises:
        InputError: a figure is missing or of another type.
    """
    figures = {key: value for key, value in card.get("figures", {}).items() if isinstance(value, dict)}
    try:
        curve = figures.get(OPERATING_CURVE)
        return {
            "sets": {
                name: {"frames": _count(value.get("images")), "dice_image": _interval(value["dice_image"])}
                for name, value in figures.items()
                if value.get("dice_image")
            },
            OPERATING_CURVE: _operating_curve(curve) if curve else None,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: a figure is missing or not a number ({error!r:.80}); restore the card that belongs to "
            "the weights, or leave out its figures"
        ) from error


def _operating_curve(found: Mapping[str, Any]) -> dict[str, Any]:
    free = found["polyp_free"]
    return {
        "operating_point": float(found["operating_point"]),
        "polyp_free": {
            "frames": int(free["frames"]),
            "clean": int(free["clean"]),
            "specificity": _interval(free["specificity"]),
        },
        "sets": {
            name: {
                "polyps": {
                    "frames": int(entry["polyps"]["frames"]),
                    "found": int(entry["polyps"]["found"]),
                    "sensitivity": _interval(entry["polyps"]["sensitivity"]),
                },
                "auc": float(entry["auc"]),
                "curve": [
                    {key: float(point[key]) for key in ("presence", "sensitivity", "specificity")}
                    for point in entry["curve"]
                ],
            }
            for name, entry in found["sets"].items()
        },
    }


def _interval(measure: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(measure[key]) for key in ("mean", "low", "high")}


def _count(value: Any) -> int | None:
    return None if value is None else int(value)
