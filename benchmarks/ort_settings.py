"""Which settings of ONNX Runtime's CPU provider a bundle runs fastest with, by measurement.

    python -m benchmarks.ort_settings --bundle benchmarks/baselines/kvasir

Threads, memory arena, memory pattern, optimisation level, idle spinning and precision are varied one at a
time around the settings that the runtime uses, in turns in one run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import typer
from rich.table import Table

from microaunet_runtime.bench.ratio import ratio_of_medians
from microaunet_runtime.bench.timed_frames import timing_frames
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, command_app, out, progress
from microaunet_runtime.device.environment import environment, usable_cpus
from microaunet_runtime.files import write_json
from microaunet_runtime.percentiles import summary

from .measuring.results import RESULTS

ROUNDS = 16
FRAMES = 20  # per round and setting
WARM_UP = 3


@dataclass(frozen=True)
class Settings:
    """One way to open a session; the defaults are what the runtime does."""

    precision: str = "fp32"
    threads: int = 1
    arena: bool = True
    pattern: bool = True
    level: str = "ORT_ENABLE_ALL"
    spinning: bool = True

    def open(self, model: bytes) -> Any:
        """An ONNX Runtime session with these settings."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = self.arena
        options.enable_mem_pattern = self.pattern
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, self.level)
        options.add_session_config_entry("session.intra_op.allow_spinning", str(int(self.spinning)))
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def variants(precisions: tuple[str, ...]) -> dict[str, Settings]:
    """Settings by the name of what differs from the first, which is the runtime's."""
    runtime = Settings()
    found = {
        "runtime": runtime,
        "no arena": replace(runtime, arena=False),
        "no memory pattern": replace(runtime, pattern=False),
        "basic optimisation": replace(runtime, level="ORT_ENABLE_BASIC"),
        "extended optimisation": replace(runtime, level="ORT_ENABLE_EXTENDED"),
        "no optimisation": replace(runtime, level="ORT_DISABLE_ALL"),
    }
    for threads in range(2, min(usable_cpus(), 4) + 1):
        found[f"{threads} threads"] = replace(runtime, threads=threads)
        found[f"{threads} threads, no spinning"] = replace(runtime, threads=threads, spinning=False)
    return found | {precision: Settings(precision) for precision in precisions if precision != "fp32"}


def settings(
    bundle: BundleOption,
    result: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = RESULTS
    / "ort_settings.json",
    debug: DebugOption = False,
) -> None:
    """Time a bundle under every setting.

    Example: [bold]python -m benchmarks.ort_settings --bundle benchmarks/baselines/kvasir[/bold]
    """
    opened = Bundle(bundle)
    frames, kind = timing_frames(opened, None, opened.manifest.height, opened.manifest.width)
    named = variants(tuple(opened.manifest.artefacts))
    models = {name: opened.artefact(name)[0].read_bytes() for name in opened.manifest.artefacts}
    facts = environment(backend="onnxruntime", threads=1)
    times: dict[str, list[list[float]]] = {name: [] for name in named}
    with progress() as bar:
        task = bar.add_task("timing in turns", total=ROUNDS)
        for round_ in range(ROUNDS):
            for name in list(named)[:: 1 if round_ % 2 == 0 else -1]:
                session = named[name].open(models[named[name].precision])
                times[name].append(_run(session, [frame[None] for frame in frames]))
            bar.advance(task)
    rows = {
        name: {
            "settings": asdict(named[name]),
            "latency_ms": summary(np.ravel(values)),
            "times_runtime": vars(ratio_of_medians(np.array(times["runtime"]), np.array(values))),
        }
        for name, values in times.items()
    }
    write_json(
        result, {"bundle": opened.manifest.name, "frames": kind, "variants": rows, "environment": facts}
    )
    _print(rows)


def _run(session: Any, tensors: list[np.ndarray]) -> list[float]:
    times = []
    for index in range(WARM_UP + FRAMES):
        feed = {"frame": tensors[index % len(tensors)]}
        start = time.perf_counter()
        session.run(None, feed)
        times.append((time.perf_counter() - start) * 1e3)
    return times[WARM_UP:]


def _print(rows: Mapping[str, Mapping[str, Any]]) -> None:
    table = Table("setting", "p50 ms", "p99 ms", "times the runtime's", "interval")
    for name, row in rows.items():
        ratio = row["times_runtime"]
        table.add_row(
            name,
            f"{row['latency_ms']['p50']:.3f}",
            f"{row['latency_ms']['p99']:.3f}",
            f"{ratio['ratio']:.3f}",
            f"{ratio['low']:.3f} to {ratio['high']:.3f}",
        )
    out.print(table)


if __name__ == "__main__":
    command_app(settings)()
