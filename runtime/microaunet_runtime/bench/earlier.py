"""Absolute latency against an earlier run on the same, labelled device. Meaningless on a shared machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json

GATED = (("inference", "p50"), ("end_to_end", "p50"), ("end_to_end", "p99"))


def read(path: Path) -> dict[str, Any]:
    """The JSON of an earlier ``microaunet-bench latency``.

    Raises:
        InputError: it is not one.
    """
    content = read_json(path)
    try:
        for stage, name in GATED:
            float(content["latency_ms"][stage][name])
        str(content["precision"]), str(content["environment"]["device"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is not a result of microaunet-bench latency ({error!r}): make one here with --json"
        ) from error
    return dict(content)


def gate(figures: dict[str, Any], earlier: dict[str, Any], allowed: float) -> dict[str, Any]:
    """Each gated figure over the earlier one; ``passed`` when none is above ``allowed``.

    Raises:
        InputError: the earlier run was on another device, power mode or precision.
    """
    for name, old, new in (
        ("device", earlier["environment"]["device"], figures["environment"]["device"]),
        ("power mode", earlier["environment"].get("power_mode"), figures["environment"]["power_mode"]),
        ("precision", earlier["precision"], figures["precision"]),
    ):
        if old != new:
            raise InputError(
                f"--against was measured with {name} {old!r}, this run with {new!r}: not comparable"
            )
    ratios = {
        f"{stage}.{name}": figures["latency_ms"][stage][name] / earlier["latency_ms"][stage][name]
        for stage, name in GATED
    }
    slower = [f"{name} is {ratio:.2f} of its baseline" for name, ratio in ratios.items() if ratio > allowed]
    message = f"{', '.join(slower)} (allowed {allowed:.2f})" if slower else "as fast as the baseline"
    return {"ratios": ratios, "allowed": allowed, "passed": not slower, "message": message}
