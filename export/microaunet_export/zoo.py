"""The shipped weights, with the figures of their cards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from microaunet.card import read_card
from microaunet.checkpoint import SHIPPED, shipped


@dataclass(frozen=True)
class Entry:
    """One set of weights.

    Attributes:
        size: pixels per side of the frame.
        macs: multiply-accumulates for one such frame.
        dice: mean ``dice_image`` by set of frames, as the card names it.
    """

    name: str
    architecture: str
    size: int
    parameters: int
    macs: int
    dice: dict[str, float]


def entries() -> list[Entry]:
    """All shipped weights, by name.

    Raises:
        InputError: a card is damaged.
    """
    return [_entry(name, read_card(SHIPPED / f"{name}.json")) for name in shipped()]


def _entry(name: str, card: dict[str, Any]) -> Entry:
    figures = {key: value for key, value in card["figures"].items() if isinstance(value, dict)}
    return Entry(
        name,
        card["architecture"],
        card["size"],
        card["parameters"],
        card["macs"]["value"],
        {key: value["dice_image"]["mean"] for key, value in figures.items() if "dice_image" in value},
    )
