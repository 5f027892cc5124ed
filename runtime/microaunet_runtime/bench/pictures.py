"""Pictures of timings: the distribution, and latency over the time of a sustained run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing
from ..optional import require
from ..percentiles import percentile
from .latency import Trace

_REMEDY = "pictures need it: install microaunet[eval], or leave out --out"


def distribution_picture(path: Path, trace: Trace, title: str) -> None:
    """Histogram and cumulative distribution of every stage, as PNG."""
    figure, (histogram, cumulative) = _axes(1, 2, (11, 4))
    for stage, times in trace.stages_ms.items():
        ordered = np.sort(times)
        # The picture ends at p99.5 so that one hiccup does not flatten the rest; the JSON keeps it.
        shown = ordered[ordered <= percentile(ordered, 99.5)]
        histogram.hist(shown, bins=60, histtype="step", label=stage)
        cumulative.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), label=stage)
    histogram.set(xlabel="latency, ms (up to p99.5)", ylabel="frames", title=title)
    cumulative.set(xlabel="latency, ms", ylabel="share of frames", xscale="log", title="cumulative")
    for percent in (50, 90, 99):
        cumulative.axhline(percent / 100, color="grey", linewidth=0.5)
    cumulative.legend(fontsize="small")
    _save(path, figure)


def trace_picture(path: Path, trace: Trace, title: str) -> None:
    """End-to-end latency over time with its sliding p50 and p99, as PNG."""
    figure, axes = _axes(1, 1, (11, 4))
    axes.plot(trace.started_s, trace.stages_ms["end_to_end"], ",", color="silver", label="frame")
    slices = trace.over_time()
    for name in ("p50", "p99"):
        axes.plot([part["start_s"] for part in slices], [part[name] for part in slices], label=name)
    axes.set(xlabel="seconds", ylabel="end to end, ms", title=title)
    axes.set_ylim(0, 1.2 * max(part["p99"] for part in slices))
    axes.legend()
    _save(path, figure)


def _axes(rows: int, columns: int, inches: tuple[float, float]) -> tuple[Any, Any]:
    # Figure without pyplot: no window system is looked for, and no global state is left behind.
    figure = require("matplotlib.figure", _REMEDY).Figure(figsize=inches, layout="constrained")
    return figure, figure.subplots(rows, columns)


def _save(path: Path, figure: Any) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
