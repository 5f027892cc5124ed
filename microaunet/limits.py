"""Settings that must lie in a range."""

from __future__ import annotations

from microaunet_runtime.errors import InputError


def within(settings: object, group: str, low: float, high: float, *names: str) -> None:
    """Check that the fields ``names`` of ``settings`` are from ``low`` to ``high``; NaN never is.

    Raises:
        InputError: one is not; it is named with its ``group``.
    """
    for name in names:
        if not low <= (value := getattr(settings, name)) <= high:
            raise InputError(f"{group}: {name} is {value}, expected {low:g} to {high:g}")
