"""Figures go where the README says, from whatever folder a suite is started."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest

SUITES = {path.stem for path in (Path(__file__).parents[2] / "benchmarks").glob("[!_]*.py")}
RESULTS = Path(__file__).parents[2] / "benchmarks/results"


@pytest.mark.parametrize("suite", sorted(SUITES - {"ablation"}))  # which has a file for each study
def test_a_suite_writes_into_the_folder_of_results(
    suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = import_module(f"benchmarks.{suite}")
    except ModuleNotFoundError as error:
        pytest.skip(f"{suite} needs {error.name}")
    defaults = [
        parameters["result"].default
        for function in vars(module).values()
        if inspect.isfunction(function) and "result" in (parameters := inspect.signature(function).parameters)
    ]
    named = [path for path in defaults if path is not None]  # others write where they are told to, or nowhere
    assert {path.parent for path in named} <= {RESULTS}
    assert all(path.name in (RESULTS / "README.md").read_text() for path in named)
