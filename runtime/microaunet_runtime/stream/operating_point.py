"""The operating point, which trades found polyps against false alarms and may be moved during a run."""

from __future__ import annotations

from ..errors import InputError


class OperatingPoint:
    """The presence from which a frame's regions are shown. Read at every frame, moved from any thread.

    Attributes:
        value: the present one.
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
