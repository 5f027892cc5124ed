"""Power modes of a Jetson. Their numbers differ by board: 0 is 15 W on an Orin Nano Super, MAXN elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .system import command_output, read_text

CONFIG = Path("/etc/nvpmodel.conf")


@dataclass(frozen=True)
class PowerModes:
    """The modes of this board.

    Attributes:
        names: by the number that ``nvpmodel -m`` takes.
        current: the number of the mode that is on, or None when nvpmodel does not say.
    """

    names: dict[int, str]
    current: int | None

    @property
    def strongest(self) -> int | None:
        """The mode without a limit of power (MAXN_SUPER, MAXN), else the one of most watts."""

        def strength(number: int) -> tuple[bool, bool, int]:
            name = self.names[number].upper()
            watts = re.search(r"(\d+)W", name)
            return "MAXN_SUPER" in name, "MAXN" in name, int(watts[1]) if watts else 0

        return max(self.names, key=strength, default=None)

    @property
    def title(self) -> str:
        """For people, e.g. ``15W (0 of 0 15W, 1 25W, 2 MAXN_SUPER)``."""
        listed = ", ".join(f"{number} {name}" for number, name in sorted(self.names.items()))
        if self.current is None:
            return f"unknown, of {listed}"
        return f"{self.names.get(self.current, 'unknown')} ({self.current} of {listed or 'unknown modes'})"


def power_modes() -> PowerModes | None:
    """The modes from nvpmodel and its configuration; None on a machine that has neither."""
    configuration, said = read_text(CONFIG), command_output("nvpmodel", "-q")
    if configuration is None and said is None:
        return None
    return parse(configuration or "", said or "")


def parse(configuration: str, said: str) -> PowerModes:
    """The modes that nvpmodel.conf lists, and the one that ``nvpmodel -q`` prints."""
    lines = re.findall(r"(?m)^\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)", configuration)
    names = {int(number): name for number, name in lines}
    number = re.search(r"(?m)^(\d+)$", said)
    name = re.search(r"NV Power Mode:\s*(\S+)", said)
    current = int(number[1]) if number else None
    if current is not None and name:
        names.setdefault(current, name[1])
    return PowerModes(names, current)
