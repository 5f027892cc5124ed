"""The card beside weights (JSON): where they come from, how they were trained, how to use them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from microaunet_runtime.errors import InputError
from microaunet_runtime.files import read_json

SIDE = 256  # pixels
THRESHOLD = 0.5

_GROUPS = ("recipe", "data", "figures", "made_with")


def read_card(path: Path) -> dict[str, Any]:
    """The card at ``path``, with ``size``, ``threshold`` and both kinds of presence filled in.

    Raises:
        InputError: it is not a card, or a field that is used has another type or is out of range.
    """
    card = read_json(path, limit=4 << 20) if path.is_file() else {}

    def bad(what: str) -> InputError:
        return InputError(f"{path}: {what}; restore the card that belongs to the weights, or train again")

    if not isinstance(card, dict):
        raise bad("expected a JSON object")
    for name in _GROUPS:
        if not isinstance(card.get(name, {}), dict):
            raise bad(f"{name} is {card[name]!r:.40}, expected an object")
    lists = card.get("data", {}).get("lists", {})
    if not isinstance(lists, dict) or not all(_is_names(names) for names in lists.values()):
        raise bad("data.lists must hold lists of names")
    size = card.setdefault("size", SIDE)
    if isinstance(size, bool) or not isinstance(size, int) or not 32 <= size <= 4096:
        raise bad(f"size is {size!r:.40}, expected a whole number from 32 to 4096")
    card.setdefault("threshold", THRESHOLD)
    card.setdefault("presence", 0.0)
    card.setdefault("stabilised_presence", card["presence"])
    for name in ("threshold", "presence", "stabilised_presence"):
        value = card[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
            raise bad(f"{name} is {value!r:.40}, expected a number from 0 to 1")
    if not card["threshold"]:
        raise bad("threshold is 0, expected a number above it")
    return card


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
