"""The printed output of ``microaunet-run``."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.table import Table

from ...console import out
from ...device.environment import machine
from ...errors import GateError, InputError
from ...files import write_json
from ...stream.report import Report
from ...stream.sources.listing import cameras, readers
from ...stream.sources.opening import KINDS
from ...verification.selftest import SelfTestCheck


def print_report(report: Report, folder: Path) -> None:
    """Print a run's summary and where its files are."""
    table = Table(
        "stage", "p50 ms", "p95 ms", "p99 ms", title=f"{report.frames} frames, {report.fps:.1f} FPS"
    )
    for stage, figures in report.latency_ms.items():
        table.add_row(stage, *(f"{figures[p]:.2f}" for p in ("p50", "p95", "p99")))
    out.print(table)
    counts = {
        "dropped": report.dropped,
        "skipped": report.skipped,
        "stale": report.stale,
        "backend errors": report.backend_errors,
        "server outages": report.outages,
        "lost meanwhile": report.lost,
    }
    if any(counts.values()):
        out.print(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    ended_early = report.interrupted or report.error
    state = "stopped early; every file is complete and playable" if ended_early else "written"
    out.print(f"{state}: {folder}", markup=False)


def list_sources(wanted: bool) -> None:
    """Print the sources that this machine has, and end the command, when that is ``wanted``."""
    if not wanted:
        return
    found = cameras()
    for source, name in found.items():
        out.print(f"{source}  {name}", markup=False)
    if not found:
        out.print("no camera: is one plugged in?")
    for name, there in readers().items():
        out.print(f"{'can' if there else 'cannot'} read {name}", markup=False)
    out.print(f"--source takes files, folders, globs, and {KINDS}", markup=False)
    raise typer.Exit


def report_checks(checks: list[SelfTestCheck], json_file: Path | None) -> None:
    """Print and write the self-test's results.

    Raises:
        GateError: a check that ran is out of tolerance.
        InputError: none could run here.
    """
    table = Table("backend", "precision", "mask agreement", "max |difference|", "p50 ms", "result")
    for check in checks:
        found = check.agreement
        table.add_row(
            check.backend,
            check.precision,
            f"{found.mask_agreement:.4f}" if found else "-",
            f"{found.max_abs_difference:.2g}" if found else "-",
            f"{check.latency_ms['p50']:.2f}" if found else "-",
            "passed" if check.passed else f"{'FAILED' if check.ran else 'not here'}: {check.problem}",
        )
    out.print(table)
    if json_file:
        write_json(json_file, {"checks": [check.record() for check in checks], "environment": machine()})
    if failed := [check for check in checks if check.ran and not check.passed]:
        first = failed[0]
        raise GateError(
            f"{len(failed)} of {len(checks)} checks failed, "
            f"the first is {first.backend} {first.precision}: {first.problem}"
        )
    if not any(check.ran for check in checks):
        raise InputError(f"nothing could be checked here: {checks[0].problem}")
