"""``microaunet-doctor``: what this machine has, and the command that fixes what is missing."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table
from rich.text import Text

from ..console import DebugOption, JsonOption, command_app, out
from ..device.doctor import examine
from ..device.environment import machine
from ..files import write_json


def command(json: JsonOption = None, debug: DebugOption = False) -> None:
    """Look at the board, its power mode and clocks, GPU, CUDA, TensorRT and the Python packages.

    Nothing is changed or installed. It works on a machine that has none of them.

    Example: microaunet-doctor --json doctor.json
    """
    findings = examine()
    table = Table("", "found", box=None, show_header=False)
    for finding in findings:
        table.add_row(finding.name, Text(finding.found))
    out.print(table)
    gaps = [finding for finding in findings if finding.fix]
    if gaps:
        out.print("\nto fix:")
    for gap in gaps:
        need = f" (for {gap.needed_for})" if gap.needed_for else ""
        out.print(f"  {gap.name}{need}: {gap.fix}", markup=False)
    if json is not None:
        write_json(json, {"findings": [asdict(finding) for finding in findings], "environment": machine()})


app = command_app(command)


def main() -> None:
    """Entry point."""
    app()
