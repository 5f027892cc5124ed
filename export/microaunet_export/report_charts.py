"""Charts of the report, as SVG to put into HTML: the operating curve, and the distribution of latency."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from microaunet_runtime.percentiles import percentile

INK = "#17212b"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text
    "text.parse_math": False,  # titles come from cards
    "svg.hashsalt": "microaunet",  # the same figures give the same bytes
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
COLOURS = ("#2f7fd6", "#e07b1a", "#1f9d74", "#b65fc4")  # readable on white and on black
BEYOND = (
    1.15  # times the slowest p99; what took longer is counted, so that one hiccup does not flatten the rest
)
GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class OperatingCurve:
    """Sensitivity against specificity over the operating point.

    Attributes:
        points: {specificity, sensitivity}, each 0..1.
        specificity, sensitivity: at the operating point in use.
        auc: of presence.
    """

    title: str
    points: Sequence[Mapping[str, float]]
    specificity: float
    sensitivity: float
    auc: float

    @staticmethod
    def of(title: str, figures: Mapping[str, Any], polyp_free: Mapping[str, Any]) -> OperatingCurve:
        """A curve out of what ``presence_summary`` gives (:mod:`microaunet_runtime.evaluation`)."""
        return OperatingCurve(
            title,
            figures["curve"],
            polyp_free["specificity"]["mean"],
            figures["polyps"]["sensitivity"]["mean"],
            figures["auc"],
        )


def draw_operating_curves(axes: Any, curves: Sequence[OperatingCurve]) -> None:
    """Draw curves into matplotlib's ``axes``; a dot on each marks the operating point in use."""
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        points = sorted((point["specificity"], point["sensitivity"]) for point in curve.points)
        axes.plot(*zip(*points, strict=True), color=colour, label=f"{curve.title}, AUC {curve.auc:.3f}")
        axes.plot(curve.specificity, curve.sensitivity, "o", color=colour)
    left = 0.5 if all(curve.specificity >= 0.5 for curve in curves) else -0.005
    axes.set(
        xlim=(left, 1.005),
        ylim=(0, 1.02),
        xlabel="specificity: polyp-free frames on which nothing is shown",
        ylabel="sensitivity: polyp frames with the polyp found",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", framealpha=0)


def operating_chart(curves: Sequence[OperatingCurve]) -> str:
    """The curves as ``<svg>``."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 4.2), layout="constrained")
        draw_operating_curves(figure.subplots(), curves)
        return _inline(figure)


def latency_chart(times_ms: Mapping[str, Sequence[float]]) -> str:
    """Every inference of every file as a dot, with p50 and p99, as ``<svg>``.

    Args:
        times_ms: milliseconds of each inference, by the title of the file.
    """
    edge = BEYOND * max(percentile(times, 99) for times in times_ms.values())
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 4.2), layout="constrained")
        axes = figure.subplots()
        titles = []
        for lane, (title, times) in enumerate(times_ms.items()):
            colour = COLOURS[lane % len(COLOURS)]
            height = lane + 0.6 * (np.arange(len(times)) * GOLDEN_RATIO % 1 - 0.5)
            axes.plot(times, height, "o", color=colour, markersize=3, alpha=0.4, markeredgewidth=0)
            p50, p99 = (percentile(times, share) for share in (50, 99))
            axes.plot([p50, p50], [lane - 0.4, lane + 0.4], "-", color=colour)
            axes.plot([p99, p99], [lane - 0.4, lane + 0.4], ":", color=colour)
            titles.append(f"{title}\np50 {p50:.1f} ms\np99 {p99:.1f} ms")
            if slower := sum(time > edge for time in times):
                text = f"{slower} more, up to {max(times):.0f} ms ›"
                axes.text(edge, lane, text, fontsize=8, ha="right", va="center")
        axes.set(
            xlim=(0, edge),
            ylim=(len(times_ms) - 0.4, -0.6),
            xlabel="milliseconds of one inference",
            yticks=range(len(titles)),
            yticklabels=titles,
        )
        axes.grid(axis="x", alpha=0.3)
        return _inline(figure)


def _inline(figure: Figure) -> str:
    """The figure for HTML: no XML declaration, no namespaces, and text in the page's own colour."""
    written = io.StringIO()
    figure.savefig(
        written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = written.getvalue()
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg[svg.index("<svg") :])
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL).replace(INK, "currentColor")
