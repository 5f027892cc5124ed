"""Does a long run stay as it began? Memory, open files and latency by tenth, over 100,000 frames.

    nice -n 15 python -m benchmarks.soak --bundle BUNDLE

The whole pipeline runs: capture, inference, presentation with boxes and overlay, JSON lines, and a recording
in segments. Frames are small, so that the frame loop and not a decoder is tried. On a machine that others use
too, wall-clock percentiles say more about them than about the run: the CPU time of inference stands beside.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import typer

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, command_app, err, out
from microaunet_runtime.device.environment import environment
from microaunet_runtime.errors import GateError
from microaunet_runtime.files import write_json
from microaunet_runtime.images.synthetic import frame as synthetic_frame
from microaunet_runtime.inference.backend import Backend, Outputs
from microaunet_runtime.inference.session import Session, open_session
from microaunet_runtime.optional import opencv
from microaunet_runtime.percentiles import percentile
from microaunet_runtime.stream.pipeline import Pipeline
from microaunet_runtime.stream.result import Result
from microaunet_runtime.stream.sinks.files import JsonLines, OverlayVideo, Sink
from microaunet_runtime.stream.sources.frame import Frame

from .measuring.results import RESULTS

RESULT = RESULTS / "soak.json"
HEIGHT, WIDTH = 120, 160
FPS = 25.0
SEGMENT_S = 60.0
MOST_GROWTH_BYTES = 5 << 20
MOST_RATIO = 1.10


class Loop:
    """A few rendered frames, over and over."""

    live = False
    fps: float | None = FPS
    title = "loop"
    dropped = skipped = 0

    def __init__(self, frames: int) -> None:
        self.count: int | None = frames
        self._pictures = [synthetic_frame(seed, HEIGHT, WIDTH, polyps=seed % 3)[0] for seed in range(16)]

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.count or 0):
            image = self._pictures[index % len(self._pictures)].copy()
            yield Frame(index, index / FPS, f"{index:06d}", image, bgr=False)

    def stop(self) -> None:
        """No frame waits for anything."""

    def close(self) -> None:
        """Nothing is held."""


class Timed:
    """A backend with the CPU time of each frame's inference noted."""

    def __init__(self, inner: Backend, cpu_ms: np.ndarray) -> None:
        self.name, self.precision, self.note = inner.name, inner.precision, inner.note
        self._inner = inner
        self._cpu_ms = cpu_ms
        self._count = 0

    def infer(self, frame: np.ndarray) -> Outputs:
        """Run the frame."""
        started = time.thread_time()
        result = self._inner.infer(frame)
        self._cpu_ms[self._count] = (time.thread_time() - started) * 1e3
        self._count += 1
        return result

    def close(self) -> None:
        """Close what is timed."""
        self._inner.close()


class Watch:
    """A sink that notes latencies, memory and open files by tenth, and lets old segments go."""

    title = "watch"
    wants_overlay = False

    def __init__(self, frames: int, recording: Path) -> None:
        self.latency_ms = {stage: np.zeros(frames, np.float32) for stage in ("inference", "end_to_end")}
        self.rss_bytes: list[int] = []
        self.open_files: list[int] = []
        self._frames = frames
        self._recording = recording
        self._process = psutil.Process()

    def write(self, result: Result) -> None:
        """Note one frame."""
        done = result.frame.index + 1
        for stage, values in self.latency_ms.items():
            values[done - 1] = result.latency_ms[stage]
        if done * 10 % self._frames < 10:
            self.rss_bytes.append(self._process.memory_info().rss)
            self.open_files.append(self._process.num_fds())
            err.print(
                f"{done} frames, {self.rss_bytes[-1] / 2**20:.1f} MiB, {self.open_files[-1]} open files"
            )
            for segment in sorted(self._recording.glob("overlay-*.mp4"))[:-1]:
                segment.unlink()

    def close(self) -> None:
        """Everything is noted."""


def soak(
    bundle: BundleOption,
    frames: Annotated[int, typer.Option("--frames", min=1000, help="A multiple of ten.")] = 100_000,
    result: Annotated[Path, typer.Option("--json", help="File for the figures.")] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Run many frames through the whole pipeline and compare its end with its beginning.

    Example: nice -n 15 python -m benchmarks.soak --bundle bundle
    """
    opencv().setNumThreads(1)
    manifest = Bundle(bundle).manifest
    facts = environment(backend="onnxruntime", threads=1)
    cpu_ms = np.zeros(frames, np.float32)

    def opened() -> Session:
        session = open_session(bundle, backend="onnxruntime", precision="fp32")
        session.backend = Timed(session.backend, cpu_ms)
        return session

    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        watch = Watch(frames, folder)
        sinks: list[Sink] = [
            JsonLines(folder / "frames.jsonl"),
            OverlayVideo(folder, "overlay", FPS, SEGMENT_S),
            watch,
        ]
        report = Pipeline(Loop(frames), opened, sinks).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = checked_figures(watch, cpu_ms)
    write_json(
        result,
        {
            "command": f"nice -n 15 python -m benchmarks.soak --bundle BUNDLE --frames {frames}",
            "bundle": {"name": manifest.name, "height": manifest.height, "width": manifest.width},
            "environment": facts,
            "frames": report.frames,
            "seconds": report.seconds,
            "fps": report.fps,
            **figures,
        },
    )
    out.print(f"written: {result}", markup=False)
    held = figures["holds"]
    if failed := [name for name in ("memory", "open_files", "inference_cpu_p99") if not held[name]]:
        raise GateError(f"the run did not stay as it began: {', '.join(failed)}; see {result}")


def checked_figures(watch: Watch, cpu_ms: np.ndarray) -> dict[str, Any]:
    """The figures by tenth, and which of the promises hold."""
    series = {**watch.latency_ms, "inference_cpu": cpu_ms}
    p99 = {
        name: [round(percentile(tenth, 99), 4) for tenth in np.array_split(values, 10)]
        for name, values in series.items()
    }
    growth = watch.rss_bytes[-1] - watch.rss_bytes[0]
    holds = {f"{name}_p99": values[-1] <= MOST_RATIO * values[0] for name, values in p99.items()}
    return {
        "p99_ms_by_tenth": p99,
        "p99_last_over_first": {name: round(values[-1] / values[0], 4) for name, values in p99.items()},
        "rss_mib_by_tenth": [round(value / 2**20, 2) for value in watch.rss_bytes],
        "rss_growth_mib": round(growth / 2**20, 2),
        "open_files_by_tenth": watch.open_files,
        "holds": {
            **holds,
            "memory": growth < MOST_GROWTH_BYTES,
            "open_files": watch.open_files[-1] <= watch.open_files[0],
        },
    }


app = command_app(soak)

if __name__ == "__main__":
    app()
