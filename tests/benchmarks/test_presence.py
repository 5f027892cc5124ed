"""The table and the picture of presence, from figures of a few frames."""

from __future__ import annotations

from pathlib import Path

from benchmarks.presence import draw, table
from microaunet_runtime.evaluation.operating_point import SeenFrame, presence_summary

FREE = [SeenFrame(k / 10, 0.2) for k in range(10)]
POLYPS = [SeenFrame(0.95, 0.1, "large", True, 0.8), SeenFrame(0.3, 0.1, "medium", True, 0.6)]


def figures() -> dict[str, object]:
    found = presence_summary(POLYPS + FREE, 0.9)
    return {
        "mine": {
            "operating_point": 0.9,
            "polyp_free": {"all": found["polyp_free"]},
            "sets": {"test": {key: found[key] for key in ("polyps", "small_polyps", "auc", "curve")}},
        }
    }


def test_the_table_says_what_is_kept_clean_and_what_is_found() -> None:
    text = table(figures())
    assert "| mine, 0.9 | all, 10 | 90.0 % (" in text
    assert "| mine | test, 2 | 50.0 % (0.0-100.0) | 0.700 / 0.400 | 0.675 | - of 0 | - |" in text


def test_the_picture_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw(tmp_path / name, figures())
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
