"""How many sources one machine can serve: cameras are added on one engine until it is too slow.

    taskset -c 0,1 python -m benchmarks.sources --bundle bundle

A machine can serve a number of cameras if no frame was dropped and the 99th percentile of the latency, from
capture until the overlay is drawn, stays under the limit for every camera. The first number that fails is
reported too. The cameras begin when the engine is open for all of them: what a camera films before that is
never shown, and says nothing about what the machine can serve.
"""

from __future__ import annotations

import threading
from typing import Annotated, Any

import numpy as np
import typer

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, JsonOption, ThreadsOption, command_app, out
from microaunet_runtime.device.environment import environment
from microaunet_runtime.errors import MicroAUNetError
from microaunet_runtime.files import write_json
from microaunet_runtime.inference.session import Session
from microaunet_runtime.inference.shared import SharedEngine
from microaunet_runtime.optional import opencv
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.pipeline import Pipeline
from microaunet_runtime.stream.result import Result
from microaunet_runtime.stream.settings import StreamSettings
from microaunet_runtime.stream.sources.captures import Synthetic
from microaunet_runtime.stream.sources.live import LiveSource

FPS = 25


class WaitingCamera(Synthetic):
    """Films ``frames`` frames from the moment that ``begin`` is set."""

    def __init__(self, frames: int, begin: threading.Event) -> None:
        super().__init__(frames, FPS)
        self._begin = begin

    def read(self) -> np.ndarray | None:
        """As :meth:`Synthetic.read`."""
        self._begin.wait()
        return super().read()


class OverlaySink:
    """Asks for the overlay, so that it is drawn."""

    title = "nowhere"
    wants_overlay = True

    def write(self, result: Result) -> None:
        """Discard it."""

    def close(self) -> None:
        """There is nothing to release."""


def sources(
    bundle: BundleOption,
    backend: Annotated[str, typer.Option("--backend", help="auto, or the name of one.")] = "auto",
    precision: Annotated[str | None, typer.Option("--precision", help="As microaunet-run takes it.")] = None,
    threads: ThreadsOption = 1,
    seconds: Annotated[float, typer.Option("--seconds", min=1, help="For each number of cameras.")] = 30.0,
    limit_ms: Annotated[float, typer.Option("--limit-ms", help="99th percentile of the latency.")] = 80.0,
    first: Annotated[int, typer.Option("--first", min=1, help="Begin with so many cameras.")] = 1,
    json_file: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Count the cameras of 25 frames per second that this machine can serve.

    Example: taskset -c 0,1 python -m benchmarks.sources --bundle bundle
    """
    opencv().setNumThreads(1)
    settings = StreamSettings(Bundle(bundle), backend, precision, threads=threads)
    measured: list[dict[str, Any]] = []
    while True:
        found = measure(settings, first + len(measured), seconds)
        found["held"] = found["dropped"] == 0 and found["p99_ms"] < limit_ms
        measured.append(found)
        out.print(
            f"{found['cameras']} cameras: p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms, "
            f"{found['dropped']} of {found['frames'] + found['dropped']} frames dropped"
        )
        if not found["held"]:
            break
    if json_file:
        facts = {"limit_ms": limit_ms, "seconds": seconds}
        ran = environment(backend=measured[0]["backend"], threads=threads)
        write_json(json_file, {"measured": measured, **facts, "environment": ran})


def measure(settings: StreamSettings, cameras: int, seconds: float) -> dict[str, Any]:
    """The worst camera's latencies and the frames of all, with this many cameras for a while."""
    engine = SharedEngine(settings.open_session)
    with engine.session() as session:
        ran = f"{session.backend.name} {session.backend.precision}"
    frames = round(seconds * FPS)
    begin, ready = threading.Event(), threading.Semaphore(0)

    def open_session() -> Session:
        session = engine.session()
        ready.release()
        return session

    pipelines = [
        Pipeline(
            LiveSource(f"camera {number}", lambda: WaitingCamera(frames, begin), Events()),
            open_session,
            [OverlaySink()],
        )
        for number in range(cameras)
    ]
    failed: list[MicroAUNetError] = []

    def run(pipeline: Pipeline) -> None:
        try:
            pipeline.run()
        except MicroAUNetError as error:
            failed.append(error)
        finally:
            ready.release()  # whatever ended it, the others are not kept waiting

    threads = [threading.Thread(target=run, args=(pipeline,)) for pipeline in pipelines]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    begin.set()
    for thread in threads:
        thread.join()
    engine.close()
    if failed:
        raise failed[0]
    reports = [pipeline.report for pipeline in pipelines]
    latencies = [report.latency_ms["end_to_end"] for report in reports]
    return {
        "backend": ran,
        "cameras": cameras,
        "p50_ms": max(each["p50"] for each in latencies),
        "p99_ms": max(each["p99"] for each in latencies),
        "max_ms": max(each["max"] for each in latencies),
        "frames": sum(report.frames for report in reports),
        "dropped": sum(report.dropped for report in reports),
    }


if __name__ == "__main__":
    command_app(sources)()
