"""What every command has in common."""

from __future__ import annotations

import importlib
from importlib import metadata

import pytest
from typer.testing import CliRunner

COMMANDS = sorted(metadata.distribution("microaunet").entry_points.select(group="console_scripts").names)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_tells_its_version_and_completes_in_the_shell(command: str) -> None:
    for module in ("torch", "onnx"):
        if command in ("microaunet-train", "microaunet-export"):
            pytest.importorskip(module)
    (entry,) = metadata.distribution("microaunet").entry_points.select(name=command)
    app = getattr(importlib.import_module(entry.module), "app", None)
    assert app is not None, f"{entry.module} has no app"
    told = CliRunner().invoke(app, ["--version"])
    assert told.exit_code == 0, told.output
    assert told.output.strip() == f"microaunet {metadata.version('microaunet')}"
    shown = CliRunner().invoke(app, ["--help"])
    assert "--install-comple" in shown.output  # a narrow terminal shortens it
