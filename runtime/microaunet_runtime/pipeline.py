"""The frame loop: capture, inference, presentation and each sink in a thread, with bounded queues between.

A live source drops its oldest frame when inference is slower than the camera, so the latency stays bounded;
files drop none. No thread shares a buffer with another: a frame and its result belong to whoever holds them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .boxes import find_boxes
from .errors import MicroAUNetError
from .images import opencv
from .latencies import Latencies
from .overlay import draw_overlay
from .queues import BoundedQueue
from .result import Result
from .session import Prediction, Session
from .sink_thread import SinkReport, SinkThread
from .sinks import Sink
from .sources import Frame, Source

STALE_MS = 500.0
"""A live frame older than this when it is shown is marked as stale."""

# How long the end of a run waits for sinks of a live source, and for the stages.
_SINKS_END_S = 10.0
_STAGES_END_S = 5.0


@dataclass
class Report:
    """What a run did.

    Attributes:
        frames: frames segmented.
        dropped: frames of a live source that inference had no time for.
        stale: frames that were shown later than the limit.
        backend_errors: frames at which the backend failed.
        seconds: from the first frame's capture to the last result.
        fps: ``frames`` over ``seconds``.
        latency_ms: by stage, p50, p95, p99 and max.
        sinks: by title.
        interrupted: the run was stopped before the source ended.
    """

    frames: int = 0
    dropped: int = 0
    stale: int = 0
    backend_errors: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    sinks: dict[str, SinkReport] = field(default_factory=dict)
    interrupted: bool = False

    def record(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Segmented:
    """A frame on its way from inference to presentation."""

    frame: Frame
    prediction: Prediction
    turn: float
    ready: float
    identity: str


class Pipeline:
    """One run over one source.

    Args:
        source: read and closed in the capture thread.
        open_session: opens the session; called in the inference thread, which alone uses the session.
        sinks: closed at the end.
        boxes: find the mask's regions.
        stale_ms: limit of a live frame's age, see :data:`STALE_MS`.
    """

    def __init__(
        self,
        source: Source,
        open_session: Callable[[], Session],
        sinks: Sequence[Sink],
        *,
        boxes: bool = True,
        stale_ms: float = STALE_MS,
    ) -> None:
        self.report = Report()
        self._source = source
        self._open_session = open_session
        self._sinks = list(sinks)
        self._boxes = boxes
        self._overlay = any(sink.wants_overlay for sink in sinks)
        self._stale_ms = stale_ms
        self._captured: BoundedQueue[Frame] = BoundedQueue(1 if source.live else 2, drop_oldest=source.live)
        self._segmented: BoundedQueue[_Segmented] = BoundedQueue(1, drop_oldest=False)
        self._latencies = Latencies()
        self._stopping = threading.Event()
        self._presented = threading.Event()
        self._error: BaseException | None = None
        self._sink_threads: list[SinkThread] = []
        self._began = self._ended = 0.0

    def run(self, tick: Callable[[], None] = lambda: None, every_s: float = 0.1) -> Report:
        """Run until the source ends or :meth:`stop` is called; ``tick`` is called in this thread meanwhile.

        Raises:
            MicroAUNetError: the source or the backend failed, or, for files, a sink did. Whatever was written
                until then is complete.
        """
        live = self._source.live
        self._sink_threads = [SinkThread(sink, live=live, on_error=self._fail) for sink in self._sinks]
        stages = [
            threading.Thread(
                target=self._guarded, args=(work, queue), name=work.__name__.strip("_"), daemon=True
            )
            for work, queue in (
                (self._capture, self._captured),
                (self._infer, self._segmented),
                (self._present, None),
            )
        ]
        for stage in stages:
            stage.start()
        try:
            while not self._presented.wait(every_s):
                tick()
        finally:
            if not self._presented.is_set():  # tick failed or was interrupted
                self.stop()
                self._presented.wait(_STAGES_END_S)
            for sink in self._sink_threads:
                sink.finish(_SINKS_END_S if live else None)
            for stage in stages:
                stage.join(_STAGES_END_S)
        tick()
        self._summarise()
        if self._error is not None:
            raise self._error
        return self.report

    def stop(self) -> None:
        """End the run soon, from any thread: frames under way are finished, sinks are closed."""
        self._stopping.set()
        self._source.stop()

    def _capture(self) -> None:
        try:
            for frame in self._source:
                self._captured.put(frame)
                if self._stopping.is_set():
                    self.report.interrupted = self._error is None
                    break
        except MicroAUNetError as error:
            self._error = self._error or error  # what was captured before is still segmented
        finally:
            self._source.close()  # in the thread that reads: a decoder must not be closed while it decodes

    def _infer(self) -> None:
        session = self._open_session()
        try:
            for frame in self._captured:
                if self._stopping.is_set():
                    break
                turn = time.perf_counter() if frame.captured is None else frame.captured
                self._began = self._began or turn
                prediction = session.run(frame.image, bgr=frame.bgr)
                identity = f"{session.backend.name} {session.backend.precision}"
                self._segmented.put(_Segmented(frame, prediction, turn, time.perf_counter(), identity))
        finally:
            self._captured.abandon()  # or capture would wait for room
            session.close()

    def _present(self) -> None:
        try:
            for segmented in self._segmented:
                result = self._drawn(segmented)
                self._latencies.add(result.latency_ms)
                self.report.frames += 1
                self.report.stale += result.stale
                self._ended = time.perf_counter()
                for sink in self._sink_threads:
                    sink.put(result)
        finally:
            self._segmented.abandon()
            self._presented.set()

    def _drawn(self, segmented: _Segmented) -> Result:
        frame, prediction = segmented.frame, segmented.prediction
        mask = prediction.mask
        started = time.perf_counter()
        area = opencv().countNonZero(mask)
        share = area / mask.size
        boxes = find_boxes(mask) if self._boxes else []
        age_ms = (started - segmented.turn) * 1e3
        stale = self._source.live and age_ms > self._stale_ms
        overlay = None
        if self._overlay:
            facts = [
                f"area {100 * share:.1f} % of view",
                f"{prediction.latency_ms['inference']:.1f} ms  {segmented.identity}",
            ]
            warning = f"STALE {age_ms:.0f} ms" if stale else ""
            overlay = draw_overlay(frame.image, mask, facts, bgr=frame.bgr, warning=warning)
        ended = time.perf_counter()
        latency_ms = {
            **prediction.latency_ms,
            "overlay": (ended - started) * 1e3,
            "end_to_end": (ended - segmented.turn - (0 if self._source.live else started - segmented.ready))
            * 1e3,
        }
        return Result(frame, mask, area, share, boxes, overlay, latency_ms, stale)

    def _guarded(self, work: Callable[[], None], ends: BoundedQueue[Any] | None) -> None:
        """Run one stage; whatever it raises ends the run, and the stage after it always learns of the end."""
        try:
            work()
        except BaseException as error:
            self._fail(error)
        finally:
            if ends is not None:
                ends.finish()

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._error = error
        self.stop()

    def _summarise(self) -> None:
        report = self.report
        report.dropped = self._captured.dropped
        report.seconds = max(self._ended - self._began, 0.0) if self._began else 0.0
        report.fps = report.frames / report.seconds if report.seconds else 0.0
        report.latency_ms = self._latencies.percentiles()
        report.sinks = {sink.sink.title: sink.report for sink in self._sink_threads}


def lost(report: Report) -> MicroAUNetError | None:
    """The error that says which sinks lost results, or None."""
    causes = [f"{sink.error} ({sink.lost} results lost)" for sink in report.sinks.values() if sink.error]
    return MicroAUNetError("; ".join(causes)) if causes else None
