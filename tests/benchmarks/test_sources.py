"""Counting the cameras that a machine holds."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.sources import sources
from microaunet_runtime.console import command_app
from microaunet_runtime.files import read_json

pytest.importorskip("onnxruntime")


def test_it_ends_at_the_first_number_that_is_not_held(tmp_path: Path) -> None:
    """No latency is under a thousandth of a millisecond, so not even one camera is held."""
    bundle = Path("benchmarks/baselines/kvasir")
    done = CliRunner().invoke(
        command_app(sources),
        [
            *("--bundle", str(bundle), "--backend", "onnxruntime", "--first", "2", "--seconds", "1"),
            *("--limit-ms", "0.001", "--json", str(tmp_path / "found.json")),
        ],
    )
    assert done.exit_code == 0, done.output
    (found,) = read_json(tmp_path / "found.json")["measured"]
    assert found["cameras"] == 2
    assert not found["held"]
    assert found["frames"] + found["dropped"] <= 50
    assert found["frames"] > 0
