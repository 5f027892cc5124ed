"""The frame loop: capture, inference, presentation and each sink in a thread, with bounded queues between.

A live source drops its oldest frame when inference is slower than the camera, so the latency stays bounded;
files drop none. No thread shares a buffer with another: a frame and its result belong to whoever holds them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import MicroAUNetError
from ..images.field_of_view import ViewFinder
from ..inference.session import Session
from .events import Events
from .latencies import Latencies
from .operating_point import OperatingPoint
from .presenting import STALE_MS, Presenter
from .queues import BoundedQueue
from .report import Report
from .segmenter import Segmented, Segmenter
from .settings import follows_time
from .sinks.files import Sink
from .sinks.thread import SinkThread
from .sources.frame import Frame, Source
from .stabilise import Stabiliser

# How long the end of a run waits for sinks of a live source, for each frame in progress, and for the stages.
_SINKS_END_S = 10.0
_FRAME_END_S = 10.0
_STAGES_END_S = 5.0


class Pipeline:
    """One run over one source.

    Args:
        source: is read and closed in the capture thread.
        open_session: opens the session; called in the inference thread, which alone uses the session.
        sinks: closed at the end.
        view: finds the field of view; without it the whole frame is segmented.
        stabiliser: makes the masks, for frames that follow each other in time.
        events: is told what happens besides frames.
        operating_point: read at every frame, so that it can be moved during the run.
        stale_ms: limit of a live frame's age, see :data:`STALE_MS`.
    """

    def __init__(
        self,
        source: Source,
        open_session: Callable[[], Session],
        sinks: Sequence[Sink],
        *,
        view: ViewFinder | None = None,
        stabiliser: Stabiliser | None = None,
        events: Events | None = None,
        operating_point: OperatingPoint | None = None,
        stale_ms: float = STALE_MS,
    ) -> None:
        self.report = Report()
        self._source = source
        self._open_session = open_session
        self._sinks = list(sinks)
        self._view = view
        self._stabiliser = stabiliser
        self._events = events or Events()
        self._operating_point = operating_point
        self._presenter = Presenter(
            follow=follows_time(source),
            overlay=any(sink.wants_overlay for sink in sinks),
            stale_ms=stale_ms,
        )
        self._captured: BoundedQueue[Frame] = BoundedQueue(1 if source.live else 2, drop_oldest=source.live)
        self._segmented: BoundedQueue[Segmented] = BoundedQueue(1, drop_oldest=False)
        self._latencies = Latencies()
        self._stopping = threading.Event()
        self._presented = threading.Event()
        self._error: BaseException | None = None
        self._sink_threads: list[SinkThread] = []
        self._began = self._ended = 0.0
        self._finished, self._finished_s = -1, 0.0  # nothing was looked at yet

    def run(self, tick: Callable[[], None] = lambda: None, every_s: float = 0.1) -> Report:
        """Run until the source ends or :meth:`stop` is called; ``tick`` is called in this thread meanwhile.

        Raises:
            MicroAUNetError: the source or the backend failed, or, for files, a sink did. Whatever was written
                until then is complete.
        """
        live = self._source.live
        self._sink_threads = [
            SinkThread(sink, live=live, on_error=self._fail, events=self._events) for sink in self._sinks
        ]
        stages = [
            threading.Thread(target=self._guarded, args=(work, queue), name=work.__name__, daemon=True)
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
                self._check_end()
        finally:
            if not self._presented.is_set():  # tick failed or was interrupted
                self.stop()
                self._presented.wait(_STAGES_END_S)
            for sink in self._sink_threads:
                sink.finish(_SINKS_END_S if live else None)
            until = time.perf_counter() + _STAGES_END_S
            for stage in stages:
                stage.join(max(until - time.perf_counter(), 0))
        tick()
        self._summarise()
        if self._error is not None:
            raise self._error
        return self.report

    def stop(self) -> None:
        """End the run soon, from any thread: frames in progress are finished, and sinks are closed."""
        self._stopping.set()
        self._source.stop()

    def _check_end(self) -> None:
        """Raise if the run was asked to end and the frame in progress is never finished."""
        now = time.perf_counter()
        if not self._stopping.is_set() or self.report.frames != self._finished:
            self._finished, self._finished_s = self.report.frames, now
        elif now - self._finished_s > _FRAME_END_S:
            raise MicroAUNetError(
                f"the frame in progress was not finished within {_FRAME_END_S:g} s and is lost: "
                "the decoder or the backend hangs"
            )

    def _capture(self) -> None:
        try:
            for frame in self._source:
                self._captured.put(frame)
                if self._stopping.is_set():
                    self.report.interrupted = not self._source.live
                    break
        except MicroAUNetError as error:
            self._error = self._error or error  # what was captured before is still segmented
        finally:
            self._source.close()  # in the thread that reads: a decoder must not be closed while it decodes

    def _infer(self) -> None:
        segmenter = None
        try:
            segmenter = Segmenter(
                self._open_session,
                self._view,
                self._stabiliser,
                self._events,
                self._operating_point,
                self._stopping,
            )
            for frame in self._captured:
                self._began = self._began or time.perf_counter()
                if segmented := segmenter(frame):
                    self._segmented.put(segmented)
        finally:
            self._captured.abandon()  # or capture would wait for room
            if segmenter:
                self.report.backend_errors = segmenter.failures
                self.report.outages, self.report.lost = segmenter.outages, segmenter.lost
                segmenter.close()

    def _present(self) -> None:
        try:
            for segmented in self._segmented:
                result = self._presenter(segmented)
                self._latencies.add(result.latency_ms)
                self.report.frames += 1
                self.report.stale += result.stale
                self._ended = time.perf_counter()
                for sink in self._sink_threads:
                    sink.put(result)
        finally:
            self._segmented.abandon()
            self._presented.set()

    def _guarded(self, work: Callable[[], None], ends: BoundedQueue[Any] | None) -> None:
        """Run one stage; whatever it raises ends the run, and the next stage is always told of the end."""
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
        report.dropped = self._captured.dropped + self._source.dropped
        report.skipped = self._source.skipped
        report.seconds = max(self._ended - self._began, 0.0)
        report.fps = report.frames / report.seconds if report.seconds else 0.0
        report.latency_ms = self._latencies.percentiles()
        report.sinks = {sink.sink.title: sink.report for sink in self._sink_threads}
        report.events = self._events.record()
