"""The curves of a run: a row per epoch as CSV, and a picture."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from microaunet_runtime import files
from microaunet_runtime.optional import require

Row = dict[str, Any]


def write(folder: Path, rows: list[Row]) -> None:
    """Write ``curves.csv`` and ``curves.png``. A column that an epoch lacks stays empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_bytes(folder / "curves.csv", text.getvalue().encode())
    _draw(folder / "curves.png", rows)


def _draw(path: Path, rows: list[Row]) -> None:
    figure_module = require("matplotlib.figure", "install microaunet[eval]")
    figure = figure_module.Figure(figsize=(8, 4), layout="constrained")
    left = figure.add_subplot()
    left.plot(
        [row["epoch"] for row in rows], [row["loss"] for row in rows], color="tab:blue", label="training loss"
    )
    left.set(xlabel="epoch", ylabel="training loss")
    validated = [row for row in rows if "dice_image" in row]
    if validated:
        right = left.twinx()
        right.plot(
            [row["epoch"] for row in validated], [row["dice_image"] for row in validated], color="tab:orange"
        )
        right.set(ylabel="validation dice_image (orange)", ylim=(0, 1))
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
