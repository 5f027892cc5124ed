"""Whether a long run stays as it began, whatever happens: an hour of recording.

    nice -n 15 python -m benchmarks.soak --bundle BUNDLE

The whole pipeline runs as in a live recording: a camera at 250 frames a second whose connection is lost
repeatedly, inference, stabilisation, boxes and overlay, the live page with a viewer who comes and goes, JSON
lines, and a recording in segments on a small disk that fills up and empties twice. Memory, open files and
threads by tenth of the run must stay flat, inference must cost what it did, and both writers must write again
after each outage. Frames are small, so that the frame loop and not a decoder is tried. On a machine that
others use too, wall-clock percentiles say more about them than about the run: the CPU time of inference
stands beside.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
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
from microaunet_runtime.inference.backend import Backend, Outputs
from microaunet_runtime.inference.session import Session
from microaunet_runtime.optional import opencv
from microaunet_runtime.percentiles import percentile
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.operating_point import OperatingPoint
from microaunet_runtime.stream.pipeline import Pipeline
from microaunet_runtime.stream.report import Report
from microaunet_runtime.stream.result import Result
from microaunet_runtime.stream.settings import StreamSettings
from microaunet_runtime.stream.sinks.files import JsonLines, OverlayVideo, Sink
from microaunet_runtime.web.live_page import LivePage
from microaunet_runtime.web.server import LiveServer

from .measuring.camera import HEIGHT, WIDTH, SimulatedCamera
from .measuring.results import RESULTS
from .measuring.small_disk import Disk, small_disk
from .measuring.viewer import Viewer

RESULT = RESULTS / "soak.json"
SEGMENT_S = 10.0
BYTES_PER_LINE = 1024  # of frames.jsonl, at most
CONNECTIONS = 50
OUTAGES = (0.3, 0.7)  # when the disk fills up, of the run; it is full for OUTAGE of it
OUTAGE = 0.06
SAMPLES = 100  # of memory, files and threads
MOST_GROWTH_BYTES = 5 << 20
MOST_RATIO = 1.10
PROMISES = (
    "memory",
    "open_files",
    "threads",
    "inference_cpu_p99",
    "writers_came_back",
    "videos_playable",
    "viewer",
)


class Timed:
    """A backend with the CPU time of each frame's inference noted in ``cpu_ms``."""

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
    """A sink that notes latencies, memory, files and threads, and plays and removes old segments."""

    title = "watch"
    wants_overlay = False

    def __init__(self, frames: int, recording: Path) -> None:
        self.latency_ms = {
            stage: np.full(frames, np.nan, np.float32) for stage in ("inference", "end_to_end")
        }
        self.samples: dict[str, list[int]] = {"rss": [], "open_files": [], "threads": []}
        self.videos = self.broken_videos = 0
        self._frames = frames
        self._recording = recording
        self._process = psutil.Process()
        self._next = 0

    def write(self, result: Result) -> None:
        """Note one frame."""
        index = result.frame.index
        for stage, values in self.latency_ms.items():
            values[index] = result.latency_ms[stage]
        if index >= self._next:
            self._sample()
            self._next = (len(self.samples["rss"]) + 1) * self._frames // SAMPLES

    def close(self) -> None:
        """Play what is left."""
        self._play_segments(self._segments())

    def _sample(self) -> None:
        found = (
            self._process.memory_info().rss,
            self._process.num_fds(),
            self._process.num_threads(),
        )
        for kept, value in zip(self.samples.values(), found, strict=True):
            kept.append(value)
        err.print(
            f"{len(self.samples['rss'])} %: {found[0] / 2**20:.1f} MiB, {found[1]} files, {found[2]} threads"
        )
        self._play_segments(self._segments()[:-1])

    def _segments(self) -> list[Path]:
        return sorted(self._recording.glob("overlay-*.mp4"))

    def _play_segments(self, segments: list[Path]) -> None:
        for segment in segments:
            capture = opencv().VideoCapture(str(segment))
            self.videos += 1
            self.broken_videos += not capture.read()[0]
            capture.release()
            segment.unlink()


class Outages:
    """Fills and empties the disk at its times. Called often, from the thread that waits for the run."""

    def __init__(self, camera: SimulatedCamera, disk: Disk) -> None:
        self._camera = camera
        self._due = [
            (begin + after, action)
            for begin in OUTAGES
            for after, action in ((0.0, disk.crowd), (0.02, disk.fill), (OUTAGE, disk.empty))
        ]

    def __call__(self) -> None:
        """Do what is due."""
        while self._due and self._camera.given >= self._due[0][0] * self._camera.frames:
            self._due.pop(0)[1]()


def soak(
    bundle: BundleOption,
    frames: Annotated[int, typer.Option("--frames", min=5000, help="That the camera gives.")] = 900_000,
    fps: Annotated[float, typer.Option("--fps", min=1, help="Of the camera.")] = 250.0,
    result: Annotated[Path, typer.Option("--json", help="File for the figures.")] = RESULT,
    debug: DebugOption = False,
) -> None:
    """Run a live recording through lost connections and a full disk, and compare its end with its beginning.

    Example: nice -n 15 python -m benchmarks.soak --bundle bundle
    """
    opencv().setNumThreads(1)
    settings = StreamSettings(Bundle(bundle), backend="onnxruntime", precision="fp32", stabilise=True)
    manifest = settings.bundle.manifest
    facts = environment(backend="onnxruntime", threads=1)
    cpu_ms = np.full(frames, np.nan, np.float32)  # its memory is taken now, not while memory is watched

    def opened() -> Session:
        session = settings.open_session()
        session.backend = Timed(session.backend, cpu_ms)
        return session

    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    events = Events(lambda what: err.print(what, markup=False))
    camera = SimulatedCamera(frames, fps, together=frames // CONNECTIONS)
    try:
        with small_disk(folder / "disk", frames * BYTES_PER_LINE) as disk:
            watch = Watch(frames, disk.folder)
            lines = JsonLines(disk.folder / "frames.jsonl", append_live=True)
            source, point = camera.source(events), OperatingPoint(settings.operating_point)
            page = LivePage("camera", manifest.name, folder, events, point, None, 1 / fps)
            sinks: list[Sink] = [lines, OverlayVideo(disk.folder, "overlay", fps, SEGMENT_S), page, watch]
            pipeline = Pipeline(
                source,
                opened,
                sinks,
                stabiliser=settings.stabiliser(),
                events=events,
                operating_point=point,
            )
            server = LiveServer("0")
            server.start(page)
            viewer = Viewer(server.port)
            try:
                report = pipeline.run(Outages(camera, disk))
            finally:
                viewer.leave()
                server.stop()
            with lines.path.open() as stream:
                read_back = sum(1 for line in stream if json.loads(line))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures = checked_figures(watch, cpu_ms[np.isfinite(cpu_ms)], report, viewer)
    write_json(
        result,
        {
            "command": f"python -m benchmarks.soak --bundle BUNDLE --frames {frames} --fps {fps:g}",
            "bundle": {"name": manifest.name, "height": manifest.height, "width": manifest.width},
            "environment": facts,
            "frame": {"height": HEIGHT, "width": WIDTH},
            "disk": disk.kind,
            "given": camera.given,
            "frames": report.frames,
            "dropped": report.dropped,
            "seconds": report.seconds,
            "fps": report.fps,
            "reconnects": source.reconnects,
            "events": events.count,
            "lines_read_back": read_back,
            **figures,
        },
    )
    out.print(f"written: {result}", markup=False)
    if failed := [name for name in PROMISES if not figures["holds"][name]]:
        raise GateError(f"the run did not stay as it began: {', '.join(failed)}; see {result}")


def checked_figures(watch: Watch, cpu_ms: np.ndarray, report: Report, viewer: Viewer) -> dict[str, Any]:
    """The figures by tenth, what became of the writers, and which of the promises hold."""
    series = {**watch.latency_ms, "inference_cpu": cpu_ms}
    p99 = {
        name: [round(percentile(tenth[np.isfinite(tenth)], 99), 4) for tenth in np.array_split(values, 10)]
        for name, values in series.items()
    }
    by_tenth = {
        name: [int(np.median(tenth)) for tenth in np.array_split(values, 10)]
        for name, values in watch.samples.items()
    }
    rss = by_tenth["rss"]
    writers = {title.split(" in ")[0]: sink for title, sink in report.sinks.items() if " in " in title}
    returns = [event["what"] for event in report.events if "writes again" in event["what"]]
    holds = {f"{name}_p99": values[-1] <= MOST_RATIO * values[0] for name, values in p99.items()}
    return {
        "p99_ms_by_tenth": p99,
        "p99_last_over_first": {name: round(values[-1] / values[0], 4) for name, values in p99.items()},
        "rss_mib_by_tenth": [round(value / 2**20, 2) for value in rss],
        "rss_growth_mib": round((rss[-1] - rss[0]) / 2**20, 2),
        "open_files_by_tenth": by_tenth["open_files"],
        "threads_by_tenth": by_tenth["threads"],
        "writers": {name: {"written": sink.written, "lost": sink.lost} for name, sink in writers.items()},
        "videos_played": watch.videos,
        "viewer": {name: getattr(viewer, name) for name in ("visits", "pictures", "failures")},
        "holds": {
            **holds,
            "memory": rss[-1] - rss[0] < MOST_GROWTH_BYTES,
            "open_files": by_tenth["open_files"][-1] <= by_tenth["open_files"][0],
            "threads": by_tenth["threads"][-1] <= by_tenth["threads"][0],
            "writers_came_back": len(returns) >= len(OUTAGES) * len(writers),
            "videos_playable": watch.videos > 0 and not watch.broken_videos,
            "viewer": viewer.pictures > 0 and not viewer.failures,
        },
    }


app = command_app(soak)

if __name__ == "__main__":
    app()
