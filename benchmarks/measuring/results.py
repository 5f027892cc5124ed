"""Where the suites leave their figures: beside this package, from whatever folder they are started."""

from __future__ import annotations

from pathlib import Path

RESULTS = Path(__file__).parents[1] / "results"
