"""What viewers of the live page cost inference: with them and without them, in turns.

    python -m benchmarks.viewers --bundle bundle

A rendered camera of 25 frames a second runs with its page; a separate process has 20 viewers who read
every picture, and come and go. It uses this machine's cores too: viewers elsewhere cost less.
"""

from __future__ import annotations

import http.client
import multiprocessing
import tempfile
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from microaunet_runtime.bench.ratio import ratio_of_medians
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, JsonOption, ThreadsOption, command_app, out
from microaunet_runtime.device.environment import environment
from microaunet_runtime.errors import GateError, MicroAUNetError
from microaunet_runtime.files import write_json
from microaunet_runtime.optional import opencv
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.operating_point import OperatingPoint
from microaunet_runtime.stream.pipeline import Pipeline
from microaunet_runtime.stream.result import Result
from microaunet_runtime.stream.settings import StreamSettings
from microaunet_runtime.stream.sources.captures import Synthetic
from microaunet_runtime.stream.sources.live import LiveSource
from microaunet_runtime.web.live_page import LivePage
from microaunet_runtime.web.server import LiveServer

FPS = 25
ALLOWED = 1.05
"""More than this times the p50 without viewers fails."""

_SETTLE_S = 0.5
_PATIENCE_S = 60.0


class LatencySink:
    """Keeps the latency of inference of every frame."""

    title = "times"
    wants_overlay = False

    def __init__(self) -> None:
        self.inference_ms: list[float] = []

    def write(self, result: Result) -> None:
        """Keep one latency."""
        self.inference_ms.append(result.latency_ms["inference"])

    def close(self) -> None:
        """There is nothing to release."""

    def take(self, frames: int) -> list[float]:
        """The latencies of the next ``frames`` frames, once they have come."""
        begun = len(self.inference_ms)
        until = time.monotonic() + _PATIENCE_S + frames / FPS
        while len(self.inference_ms) < begun + frames:
            if time.monotonic() > until:
                raise MicroAUNetError("no frames came: the run has ended or this machine is too busy")
            time.sleep(0.05)
        return self.inference_ms[begun : begun + frames]


def viewers(
    bundle: BundleOption,
    backend: Annotated[str, typer.Option("--backend", help="auto, or the name of one.")] = "auto",
    count: Annotated[int, typer.Option("--viewers", min=1, help="At once.")] = 20,
    blocks: Annotated[int, typer.Option("--blocks", min=2, help="Turns with viewers and without.")] = 10,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Of each turn.")] = 50,
    threads: ThreadsOption = 1,
    json_file: JsonOption = None,
    debug: DebugOption = False,
) -> None:
    """Measure what viewers of the live page cost; exit code 3 when it is 5 percent of the p50 or more.

    Example: python -m benchmarks.viewers --bundle bundle
    """
    opencv().setNumThreads(1)
    settings = StreamSettings(Bundle(bundle), backend, threads=threads)
    with settings.open_session() as session:
        ran = f"{session.backend.name} {session.backend.precision}"
    source = LiveSource("camera", lambda: Synthetic(None, FPS), Events())
    point, events, timed = OperatingPoint(settings.operating_point), Events(), LatencySink()
    page = LivePage("camera", "benchmark", Path(tempfile.gettempdir()), events, point, None, 1 / FPS)
    server = LiveServer("0")
    server.start(page)
    pipeline = Pipeline(source, settings.open_session, [timed, page], events=events)
    running = threading.Thread(target=pipeline.run, daemon=True)
    running.start()
    context = multiprocessing.get_context("spawn")
    looking = context.Event()
    audience = context.Process(target=watch, args=(server.port, count, looking), daemon=True)
    audience.start()
    without, with_them = [], []
    try:
        timed.take(frames)  # warm
        for _ in range(blocks):
            without.append(timed.take(frames))
            looking.set()
            _until(page, count)
            with_them.append(timed.take(frames))
            looking.clear()
            _until(page, 0)
    finally:
        audience.terminate()
        pipeline.stop()
        server.stop()
    running.join(_PATIENCE_S)
    ratio = ratio_of_medians(np.array(without), np.array(with_them))
    p50 = float(np.median(without))
    out.print(
        f"inference p50 {p50:.2f} ms; with {count} viewers {ratio.ratio:.3f} times "
        f"({ratio.low:.3f} to {ratio.high:.3f})"
    )
    failed = ratio.fails(ALLOWED)
    if json_file:
        found = {"ratio": ratio.ratio, "low": ratio.low, "high": ratio.high, "passed": not failed}
        turns = {"viewers": count, "blocks": blocks, "frames": frames, "p50_ms": p50}
        ran_on = environment(backend=ran, threads=threads)
        write_json(json_file, {**turns, **found, "environment": ran_on})
    if failed:
        raise GateError(
            f"{count} viewers make inference {ratio.ratio:.3f} times slower: {ALLOWED} is allowed"
        )


def watch(port: int, count: int, looking: Event) -> None:
    """Keep this many viewers connected while ``looking`` is set, each reading everything."""

    def view() -> None:
        while True:
            looking.wait()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
            connection.request("GET", "/video")
            answer = connection.getresponse()
            while looking.is_set() and answer.read1(1 << 16):
                pass
            connection.close()

    for _ in range(count - 1):
        threading.Thread(target=view, daemon=True).start()
    view()


def _until(page: LivePage, count: int) -> None:
    until = time.monotonic() + _PATIENCE_S
    while page.frames.viewers != count:
        if time.monotonic() > until:
            raise MicroAUNetError(f"the page has {page.frames.viewers} viewers, not {count}")
        time.sleep(0.02)
    time.sleep(_SETTLE_S)


if __name__ == "__main__":
    command_app(viewers)()
