"""Absolute latency against an earlier run on the same, labelled device. Meaningless on a shared machine."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json

GATED = (("inference", "p50"), ("end_to_end", "p50"), ("end_to_end", "p99"))

# What a latency depends on, by its key in ``environment``: another one makes another baseline.
_CONDITIONS = {
    "device": "device",
    "gpu": "GPU",
    "power_mode": "power mode",
    "backend": "backend",
    "threads": "threads",
}


def read(path: Path) -> dict[str, Any]:
    """The JSON of an earlier ``microaunet-bench latency``.

    Raises:
        InputError: the file is not such a JSON.
    """
    content = read_json(path)
    try:
        for stage, name in GATED:
            time_ms = float(content["latency_ms"][stage][name])
            if not 0 < time_ms < math.inf:
                raise ValueError(f"{stage} {name} is {time_ms}")
        str(content["precision"])
        for key in _CONDITIONS:
            content["environment"][key]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is not a result of microaunet-bench latency ({error!r}): make one here with --json"
        ) from error
    return dict(content)


def gate(figures: dict[str, Any], earlier: dict[str, Any], allowed: float) -> dict[str, Any]:
    """The ratio of each figure to the earlier one; ``passed`` if all are at most ``allowed``. NaN fails.

    Raises:
        InputError: the earlier run was of another precision, or in another of :data:`_CONDITIONS`.
    """
    before, now = earlier["environment"], figures["environment"]
    conditions = [(title, before[key], now[key]) for key, title in _CONDITIONS.items()]
    for title, old, new in (*conditions, ("precision", earlier["precision"], figures["precision"])):
        if old != new:
            raise InputError(
                f"--against was measured with {title} {old!r}, this run with {new!r}: not comparable"
            )
    ratios = {
        f"{stage}.{name}": figures["latency_ms"][stage][name] / earlier["latency_ms"][stage][name]
        for stage, name in GATED
    }
    slower = [
        f"{name} is {ratio:.2f} of its baseline" for name, ratio in ratios.items() if not ratio <= allowed
    ]
    message = f"{', '.join(slower)} (allowed {allowed:.2f})" if slower else "as fast as the baseline"
    return {"ratios": ratios, "allowed": allowed, "passed": not slower, "message": message}
