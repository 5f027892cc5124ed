"""``microaunet-run``, in this process and in one of its own."""

from __future__ import annotations

import sys

from typer.testing import CliRunner, Result

from microaunet_runtime.commands.run.command import app

RUN = [sys.executable, "-c", "from microaunet_runtime.commands.run.command import main; main()"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])
