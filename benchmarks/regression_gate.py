"""Evidence that ``microaunet-bench regression`` can be trusted: false alarms and missed slowdowns.

    python -m benchmarks.regression_gate --bundle benchmarks/baselines/kvasir

A bundle is compared with itself 20 times, and 20 times with itself with every frame made 15 % slower.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from microaunet_runtime.bench.latency_comparison import LatencyComparison, Side, compare_latency
from microaunet_runtime.bench.timed_frames import timing_frames
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, command_app, out, progress
from microaunet_runtime.device.environment import environment
from microaunet_runtime.errors import GateError
from microaunet_runtime.files import write_json
from microaunet_runtime.inference.backend import Backend, Outputs
from microaunet_runtime.inference.session import open_session

from .measuring.results import RESULTS

RUNS = 20
SLOWDOWN = 1.15
MOST_FALSE_ALARMS = 1
LEAST_CAUGHT = 19


class Slowed:
    """A backend that busy-waits until a frame has taken ``times`` as long."""

    def __init__(self, inner: Backend, times: float) -> None:
        self.name, self.precision, self.note = inner.name, inner.precision, inner.note
        self._inner, self._times = inner, times

    def infer(self, frame: np.ndarray) -> Outputs:
        """As the inner backend, later."""
        start = time.perf_counter()
        result = self._inner.infer(frame)
        end = start + (time.perf_counter() - start) * self._times
        while time.perf_counter() < end:
            pass
        return result

    def close(self) -> None:
        """Close the inner backend."""
        self._inner.close()


def evidence(
    bundle: BundleOption,
    result: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = RESULTS
    / "regression_gate.json",
    debug: DebugOption = False,
) -> None:
    """Compare a bundle with itself, and with itself made 15 % slower.

    Fails (exit code 3) when the comparison is wrong too often.

    Example: [bold]python -m benchmarks.regression_gate --bundle benchmarks/baselines/kvasir[/bold]
    """
    opened = Bundle(bundle)
    frames, kind = timing_frames(opened, None, opened.manifest.height, opened.manifest.width)
    tensors = [frame[None] for frame in frames]
    plain = Side(lambda: open_session(opened).backend, tensors)
    slow = Side(lambda: Slowed(open_session(opened).backend, SLOWDOWN), tensors)
    before = environment(backend="onnxruntime", threads=1)
    series: dict[str, list[LatencyComparison]] = {"same": [], "slowed": []}
    with progress() as bar:
        task = bar.add_task("comparing", total=2 * RUNS)
        for _ in range(RUNS):  # in turns, so that both series meet the same machine
            for name, candidate in (("same", plain), ("slowed", slow)):
                series[name].append(compare_latency(plain, candidate))
                bar.advance(task)
    alarms = sum(not comparison.passed for comparison in series["same"])
    caught = sum(not comparison.passed for comparison in series["slowed"])
    held = alarms <= MOST_FALSE_ALARMS and caught >= LEAST_CAUGHT
    write_json(
        result,
        {
            "bundle": opened.manifest.name,
            "runs": RUNS,
            "slowdown": SLOWDOWN,
            "false_alarms": alarms,
            "caught": caught,
            "passed": held,
            "frames": kind,
            **{name: _figures(found) for name, found in series.items()},
            "environment": before,
            "load_average_after": environment(backend="onnxruntime", threads=1)["load_average"],
        },
    )
    out.print(f"{alarms} false alarms in {RUNS}, {caught} of {RUNS} slowdowns of 15 % caught; {result}")
    if not held:
        raise GateError(
            f"at most {MOST_FALSE_ALARMS} false alarm is allowed, and {LEAST_CAUGHT} slowdowns must be caught"
        )


def _figures(found: list[LatencyComparison]) -> list[dict[str, Any]]:
    return [comparison.figures() for comparison in found]


if __name__ == "__main__":
    command_app(evidence)()
