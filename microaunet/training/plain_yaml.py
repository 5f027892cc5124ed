"""YAML as recipes need it: plain values of bounded size. A recipe may come from anywhere."""

from __future__ import annotations

from typing import Any

import yaml

from microaunet_runtime.errors import InputError

MOST_CHARACTERS = 64 << 10
MOST_DEPTH = 8


class _PlainLoader(yaml.SafeLoader):
    """Refuses aliases, by which a few bytes stand for any number of values, and deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "aliases are not allowed: write the value out", mark
            )
        if self.depth >= MOST_DEPTH:
            raise yaml.composer.ComposerError(None, None, f"nested more than {MOST_DEPTH} deep", mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def parse(text: str, name: str) -> Any:
    """The value of the YAML document ``text``.

    Raises:
        InputError: naming ``name``: too long, not YAML, aliases, nested too deep, or a number or date that
            cannot be read.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(f"{name} is longer than {MOST_CHARACTERS >> 10} KiB: not a recipe")
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except yaml.YAMLError as error:
        raise InputError(f"{name} is not valid YAML: {' '.join(str(error).split())}") from error
    except ValueError as error:  # a number of thousands of digits, a thirteenth month
        raise InputError(f"{name} holds a value that cannot be read: {error}") from error
