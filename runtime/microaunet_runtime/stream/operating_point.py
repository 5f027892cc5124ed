"""The one number that trades found polyps against false alarms, and that may be moved while a run goes on."""

from __future__ import annotations

from ..errors import InputError


class OperatingPoint:
    """From this presence of a frame on its regions are shown. Read at every frame, moved from any thread.

    Attributes:
        value: now.
    """

    least, most = 0.0, 0.999

    def __init__(self, value: float) -> None:
        self.value = value

    def move(self, value: float) -> None:
        """Apply ``value`` from the next frame on.

        Raises:
            InputError: it is out of range.
        """
        if not self.least <= value <= self.most:
            raise InputError(f"presence {value:g}: give a number from {self.least:g} to {self.most:g}")
        self.value = value
