"""The folder of the suites' figures: beside this package, wherever the suites are started."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
