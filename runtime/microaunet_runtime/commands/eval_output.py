"""The printed output of ``microaunet-eval``."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ..console import out
from ..evaluation.evaluate import SIZES
from ..evaluation.metrics import FOUND, LARGE_FROM, SMALL_BELOW

_NAMES = {
    "dice_image": "Dice, mean of images",
    "miou": "IoU, mean of images",
    "precision": "precision",
    "recall": "recall",
    "hd95": "HD95, pixels",
}
_PRANET_NAMES = {
    "dice_pranet": "PraNet Dice",
    "iou_pranet": "PraNet IoU",
    "weighted_f": "weighted F-measure",
    "s_measure": "S-measure",
    "e_measure": "E-measure",
    "mae": "mean absolute error",
}


def print_scores(results: dict[str, Any]) -> None:
    """Print the summary of an evaluation on frames with masks, and what it was made on."""
    table = Table(
        "measure", "value", "95 % interval", title=f"{results['images']} images of {results['data']}"
    )
    for key, name in _NAMES.items():
        _add(table, name, results[key])
    table.add_row("Dice, all pixels pooled", f"{results['dice_pooled']:.4f}", "")
    shares = (f"under {SMALL_BELOW:.0%}", f"{SMALL_BELOW:.0%} to {LARGE_FROM:.0%}", f"from {LARGE_FROM:.0%}")
    for size, share in zip(SIZES, shares, strict=True):
        measure = results["dice_by_size"][size]
        _add(table, f"Dice, {measure['count']} {size} ({share} of the frame)", measure)
    polyps = results["polyp_sensitivity"]
    _add(table, f"polyps found ({FOUND:.0%} of each), {polyps['found']} of {polyps['count']}", polyps)
    if free := results.get("false_positive_pixels"):
        _add(table, f"false-positive pixels, {free['count']} polyp-free frames", free)
    for key, name in _PRANET_NAMES.items():
        if key in results.get("pranet", {}):
            _add(table, name, results["pranet"][key])
    out.print(table)


def print_boxes(results: dict[str, Any]) -> None:
    """Print the summary of an evaluation of boxes, and what it was made on."""
    found = results["boxes"]
    title = f"boxes of {results['images']} images of {results['data']}, IoU from {found['iou']:g}"
    table = Table("measure", "value", "95 % interval", title=title)
    _add(table, f"precision, {found['hits']} hits of {found['shown']} shown", found["precision"])
    _add(table, f"recall, {found['hits']} of {found['polyps']} polyps", found["recall"])
    _add(table, "F1", found["f1"])
    table.add_row("AP50 of what is shown", "-" if found["ap50"] is None else f"{found['ap50']:.4f}", "")
    out.print(table)


def print_presence(summary: dict[str, Any]) -> None:
    """Print what :func:`~microaunet_runtime.evaluation.operating_point.presence_summary` gives."""
    table = Table(
        "measure", "value", "95 % interval", title=f"shown from presence {summary['operating_point']:g} on"
    )
    if free := summary.get("polyp_free"):
        _add(table, f"polyp-free frames clean, {free['clean']} of {free['frames']}", free["specificity"])
        _add(table, "area marked on polyp-free frames", free["area"])
        _add(table, "the same, all masks shown", free["area_without_operating_point"])
    for key, what in (("polyps", "polyp"), ("small_polyps", "small-polyp")):
        if found := summary.get(key):
            _add(table, f"{what} frames found, {found['found']} of {found['frames']}", found["sensitivity"])
            _add(table, f"Dice on {what} frames, all masks shown", found["dice"])
            _add(table, f"Dice on {what} frames, as shown", found["dice_shown"])
    if "auc" in summary:
        table.add_row("AUC of presence, polyp against polyp-free", f"{summary['auc']:.4f}", "")
    out.print(table)


def _add(table: Table, name: str, measure: dict[str, Any]) -> None:
    if measure["mean"] is None:
        table.add_row(name, "-", "")
        return
    digits = 4 if abs(measure["mean"]) <= 1 else 1
    table.add_row(
        name, f"{measure['mean']:.{digits}f}", f"{measure['low']:.{digits}f} - {measure['high']:.{digits}f}"
    )
