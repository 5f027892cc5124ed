"""The frame loop under every fault that a room can make: bounded latency, no silent loss, no hang."""

from __future__ import annotations

import ctypes
import gc
import itertools
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from redness import polyp_frame
from results import names
from videos import play, write_video

from microaunet_runtime import InputError, MicroAUNetError, Session, open_session
from microaunet_runtime.inference.backend import Outputs
from microaunet_runtime.stream import pipeline as pipeline_module
from microaunet_runtime.stream import segmenter as segmenter_module
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.pipeline import Pipeline
from microaunet_runtime.stream.presenting import STALE_MS
from microaunet_runtime.stream.report import Report
from microaunet_runtime.stream.result import Result
from microaunet_runtime.stream.sinks import thread
from microaunet_runtime.stream.sinks.files import JsonLines, MaskImages, OverlayVideo, Sink
from microaunet_runtime.stream.sources.files import VideoFile
from microaunet_runtime.stream.sources.frame import Source
from microaunet_runtime.stream.sources.live import LiveSource
from microaunet_runtime.stream.stabilise import Stabiliser

pytest.importorskip("onnxruntime")


class Pace:
    """A camera that gives ``frames`` pictures in turn, one every ``period`` seconds, whatever happens."""

    endless = False

    def __init__(self, pictures: list[np.ndarray], frames: int, period: float) -> None:
        self.fps: float | None = 1 / period
        self.pictures = pictures
        self.frames = iter(range(frames))
        self.period = period
        self.due = time.perf_counter()

    def read(self) -> np.ndarray | None:
        number = next(self.frames, None)
        if number is None:
            return None
        self.due += self.period
        time.sleep(max(0.0, self.due - time.perf_counter()))
        return self.pictures[number % len(self.pictures)].copy()

    def release(self) -> None:
        pass


class Slow:
    """A backend that takes ``seconds`` longer; at the calls named, counted over all its lives, it fails or
    gives no numbers.
    """

    def __init__(
        self,
        session: Session,
        seconds: float = 0.0,
        failing: tuple[int, ...] = (),
        blind: tuple[int, ...] = (),
    ) -> None:
        self.inner = session.backend
        self.name, self.precision, self.note = self.inner.name, self.inner.precision, ""
        self.seconds = seconds
        self.failing = failing
        self.blind = blind

    def infer(self, frame: np.ndarray) -> Outputs:
        number = Slow.calls
        Slow.calls += 1
        if number in self.failing:
            raise RuntimeError(f"device lost at call {number}")
        time.sleep(self.seconds)
        outputs = self.inner.infer(frame)
        if number in self.blind:
            return Outputs(np.full_like(outputs.probability, np.nan), 0 * outputs.mask, outputs.presence)
        return outputs

    def close(self) -> None:
        self.inner.close()

    calls = 0


class Kept:
    """A sink in memory."""

    title = "kept"

    def __init__(self, *, overlay: bool = False, seconds: float = 0.0) -> None:
        self.wants_overlay = overlay
        self.seconds = seconds
        self.results: list[Result] = []

    def write(self, result: Result) -> None:
        time.sleep(self.seconds)
        self.results.append(result)

    def close(self) -> None:
        pass


@pytest.fixture
def opener(tiny_bundle: Path) -> Callable[..., Callable[[], Session]]:
    """``opener(seconds, failing)`` is what a pipeline opens its session with."""

    def make(
        seconds: float = 0.0, failing: tuple[int, ...] = (), blind: tuple[int, ...] = ()
    ) -> Callable[[], Session]:
        Slow.calls = 0

        def opened() -> Session:
            session = open_session(tiny_bundle, backend="onnxruntime")
            session.backend = Slow(session, seconds, failing, blind)
            return session

        return opened

    return make


def camera(
    frames: int, period: float, pictures: list[np.ndarray] | None = None, events: Events | None = None
) -> Source:
    pictures = pictures or [polyp_frame(64, 96, 20 + 5 * i, 30, 10, i) for i in range(8)]
    return LiveSource("camera", lambda: Pace(pictures, frames, period), events or Events())


def run(
    source: Source, opened: Callable[[], Session], *sinks: Sink, seconds: float = 60, **settings: object
) -> Report:
    """Run a pipeline; one that does not end in time is stopped and fails the test."""
    pipeline = Pipeline(source, opened, list(sinks), **settings)  # type: ignore[arg-type]
    late = threading.Event()
    guard = threading.Timer(seconds, lambda: (late.set(), pipeline.stop()))
    guard.start()
    try:
        return pipeline.run(every_s=0.01)
    finally:
        guard.cancel()
        assert not late.is_set(), "the pipeline did not end by itself"


Opener = Callable[..., Callable[[], Session]]


@pytest.mark.parametrize("ratio", [0.2, 0.5, 1, 2, 5])
def test_latency_stays_bounded_whatever_the_cameras_pace(opener: Opener, ratio: float) -> None:
    """At 5 times the pace that inference can take, the oldest frames go, and those shown are fresh."""
    inference = 0.02
    frames = round(30 * max(ratio, 1))
    kept = Kept(overlay=True)
    report = run(camera(frames, inference / ratio), opener(inference), kept)
    assert report.frames + report.dropped == frames
    indices = [result.frame.index for result in kept.results]
    assert indices == sorted(set(indices))
    if ratio <= 0.5:
        assert report.dropped <= 2
    if ratio == 5:
        assert 0.5 < report.dropped / frames < 0.95
    # Waiting for the one frame under way, then its own inference, and room for a busy machine.
    assert report.latency_ms["end_to_end"]["p50"] < 1e3 * (2 * inference + 0.06)
    # Not one frame waited for all before it: 120 of them would have taken seconds.
    assert report.latency_ms["end_to_end"]["p99"] < STALE_MS
    assert report.stale == 0


def test_files_drop_nothing_and_keep_the_order(opener: Opener, tmp_path: Path) -> None:
    kept = Kept(seconds=0.005)
    report = run(VideoFile(write_video(tmp_path / "clip.mp4", frames=40)), opener(), kept)
    assert [result.frame.index for result in kept.results] == list(range(40))
    assert (report.frames, report.dropped, report.interrupted) == (40, 0, False)


def test_no_result_changes_after_it_was_handed_out(opener: Opener, tmp_path: Path, tiny_bundle: Path) -> None:
    kept = Kept(overlay=True)
    clip = write_video(tmp_path / "clip.mp4", frames=20)
    run(VideoFile(clip), opener(), kept)
    with open_session(tiny_bundle, backend="onnxruntime") as session:
        for result, frame in zip(kept.results, VideoFile(clip), strict=True):
            np.testing.assert_array_equal(result.frame.image, frame.image)
            np.testing.assert_array_equal(result.mask, session.run(frame.image, bgr=True).mask)


def test_a_stale_frame_says_so_on_the_picture(opener: Opener) -> None:
    # A busy machine drops frames of a camera, but makes none younger than its inference takes.
    fresh, old = Kept(overlay=True), Kept(overlay=True)
    report = run(camera(5, 0.05), opener(), fresh, stale_ms=600_000)
    assert report.stale == 0 < report.frames == len(fresh.results)
    report = run(camera(5, 0.05), opener(0.03), old, stale_ms=10)
    assert report.stale == report.frames == len(old.results) > 0
    assert report.frames + report.dropped == 5

    def red(result: Result) -> bool:
        assert result.overlay is not None
        return bool((result.overlay[:6, :30, 2].astype(int) - result.overlay[:6, :30, 1] > 100).any())

    assert all(red(result) and result.stale for result in old.results)
    assert not any(red(result) for result in fresh.results)


def test_a_sink_that_blocks_holds_up_nobody(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "_SINKS_END_S", 0.3)
    forever = threading.Event()

    class Blocking(Kept):
        title = "blocking"

        def write(self, result: Result) -> None:
            forever.wait()

    kept = Kept()
    report = run(camera(60, 0.005), opener(), Blocking(), kept, seconds=20)
    assert len(kept.results) == report.frames > 20
    assert "blocked" in report.sinks["blocking"].error
    assert report.sinks["blocking"].lost == report.frames
    loss = report.loss()
    assert loss is not None
    assert "blocking" in str(loss)
    forever.set()


def test_a_slow_sink_loses_its_own_results_only_and_says_so(opener: Opener) -> None:
    slow, kept = Kept(seconds=0.05), Kept()
    slow.title = "slow"
    report = run(camera(60, 0.005), opener(), slow, kept)
    assert len(kept.results) == report.frames
    assert report.sinks["slow"].lost == report.frames - len(slow.results) > 0
    assert "too slow" in str(report.loss())


def test_a_full_disk_ends_no_live_run_and_is_reported(
    opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thread, "RETRY_S", 0.1)
    events = Events()
    full = JsonLines(Path("/dev/full"), append_live=True)
    kept = Kept()
    report = run(camera(40, 0.005), opener(), full, kept, events=events)
    assert len(kept.results) == report.frames
    assert "no space left" in report.sinks[full.title].error
    assert report.sinks[full.title].lost > 0
    assert any("no space left" in event["what"] for event in report.events)


def test_a_sink_that_recovers_is_taken_up_again(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(Kept):
        title = "failing"

        def write(self, result: Result) -> None:
            if len(self.results) == 5 and time.perf_counter() < until:
                raise OSError(28, "No space left on device")
            super().write(result)

    monkeypatch.setattr(thread, "RETRY_S", 0.05)
    until = time.perf_counter() + 0.3
    failing = Failing()
    report = run(camera(150, 0.005), opener(), failing)
    facts = report.sinks["failing"]
    assert facts.lost > 0
    assert facts.written == len(failing.results) > 6
    assert any("writes again" in event["what"] for event in report.events)


def test_messages_that_cannot_be_shown_end_nothing(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is on the full disk, or its terminal is gone."""

    class Failing(Kept):
        def write(self, result: Result) -> None:
            if len(self.results) == 5 and time.perf_counter() < until:
                raise OSError(28, "No space left on device")
            super().write(result)

    def full(what: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(thread, "RETRY_S", 0.05)
    until = time.perf_counter() + 0.3
    failing = Failing()
    report = run(camera(150, 0.005), opener(), failing, events=Events(full))
    assert report.sinks["kept"].written == len(failing.results) > 6
    assert any("writes again" in event["what"] for event in report.events)


def test_a_full_disk_ends_a_run_over_a_file(opener: Opener, tmp_path: Path) -> None:
    clip = VideoFile(write_video(tmp_path / "clip.mp4", frames=60))
    with pytest.raises(InputError, match="no space left"):
        run(clip, opener(), JsonLines(Path("/dev/full"), append_live=True))


def test_a_backend_that_fails_once_is_reopened_and_no_frame_is_lost(opener: Opener, tmp_path: Path) -> None:
    kept = Kept()
    report = run(VideoFile(write_video(tmp_path / "clip.mp4")), opener(failing=(4,)), kept)
    assert [result.frame.index for result in kept.results] == list(range(12))
    assert report.backend_errors == 1
    assert "failed at frame 4 (device lost at call 4): reopening it" in report.events[0]["what"]


@pytest.mark.parametrize("failing", [(4, 5), (4, 9)])
def test_a_backend_that_fails_again_ends_the_run_with_the_cause(
    opener: Opener, tmp_path: Path, failing: tuple[int, ...]
) -> None:
    sinks = [MaskImages(tmp_path / "out" / "masks"), OverlayVideo(tmp_path / "out", "overlay", 20)]
    with pytest.raises(
        MicroAUNetError, match=f"device lost at call {failing[1]}.*reopened after an earlier failure"
    ):
        run(VideoFile(write_video(tmp_path / "clip.mp4")), opener(failing=failing), *sinks)
    segmented = failing[1] - 1  # one call was repeated
    assert len(names(tmp_path / "out" / "masks")) == segmented
    assert len(play(tmp_path / "out" / "overlay.mp4")) == segmented


def test_failures_far_apart_are_hiccups_each(
    opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter_module, "FORGIVEN_AFTER", 4)
    clip = write_video(tmp_path / "clip.mp4", frames=20)
    report = run(VideoFile(clip), opener(failing=(2, 8, 14)))
    assert (report.frames, report.backend_errors) == (20, 3)
    with pytest.raises(MicroAUNetError, match="after an earlier failure"):
        run(VideoFile(clip), opener(failing=(2, 8, 10)))


def test_a_live_source_that_ends_without_a_frame_is_an_error(opener: Opener) -> None:
    with pytest.raises(InputError, match=r"camera ended without a frame that can be used \(0 could not\)"):
        run(camera(0, 0.001), opener())
    unusable = [np.zeros((64, 96), np.uint16)]
    with pytest.raises(InputError, match=r"\(3 could not\)"):
        run(camera(3, 0.001, unusable), opener())


@pytest.mark.parametrize("stabilise", [False, True])
def test_a_frame_without_numbers_is_an_error_and_blinds_nothing_after_it(
    opener: Opener, tmp_path: Path, stabilise: bool
) -> None:
    """One NaN used to stay in the smoothed probability for ever."""
    opened = opener(blind=(4,))
    kept = Kept()
    report = run(
        VideoFile(write_video(tmp_path / "clip.mp4")),
        opened,
        kept,
        stabiliser=Stabiliser(0.5, 0.5) if stabilise else None,
    )
    assert (report.frames, report.backend_errors) == (12, 1)
    assert "probabilities from nan" in report.events[0]["what"]
    shown = [bool(result.mask.any()) for result in kept.results]
    assert all(shown[6:] if stabilise else shown)


def test_a_lost_device_that_cannot_even_be_closed_is_reopened(opener: Opener, tmp_path: Path) -> None:
    opened = opener(failing=(4,))

    def fragile() -> Session:
        session = opened()
        close = session.close

        def failing_close() -> None:
            close()
            raise RuntimeError("the driver is gone")

        session.close = failing_close  # type: ignore[method-assign]
        return session

    report = run(VideoFile(write_video(tmp_path / "clip.mp4")), fragile)
    assert (report.frames, report.backend_errors) == (12, 1)
    assert any("the driver is gone" in event["what"] for event in report.events)


def test_a_backend_that_cannot_be_opened_again_ends_the_run(opener: Opener, tmp_path: Path) -> None:
    opened = opener(failing=(3,))
    lives = iter([opened])

    def once() -> Session:
        for life in lives:
            return life()
        raise MicroAUNetError("the device is gone")

    with pytest.raises(MicroAUNetError, match="the device is gone"):
        run(VideoFile(write_video(tmp_path / "clip.mp4")), once)


def test_another_format_in_mid_stream_begins_another_file(opener: Opener, tmp_path: Path) -> None:
    small, large = polyp_frame(64, 96, 40, 30, 10), polyp_frame(128, 160, 80, 60, 20)
    grey = np.full((64, 96), 90, np.uint8)

    class Changing(Pace):
        def read(self) -> np.ndarray | None:
            image = super().read()
            number = self.given = getattr(self, "given", -1) + 1
            return (
                image
                if image is None
                else (small, large, grey, np.dstack([large, large[..., :1]]))[number // 15 % 4]
            )

    kept = Kept()
    source = LiveSource("camera", lambda: Changing([small], 60, 0.01), Events())
    report = run(source, opener(), kept, OverlayVideo(tmp_path / "out", "overlay", 20, segment_s=100))
    assert {result.mask.shape for result in kept.results} == {(64, 96), (128, 160)}
    assert all(result.mask.shape == result.frame.image.shape[:2] for result in kept.results)
    assert names(tmp_path / "out") == [f"overlay-{number:04d}.mp4" for number in (1, 2, 3, 4)]
    assert sum(len(play(tmp_path / "out" / name)) for name in names(tmp_path / "out")) == report.frames
    assert report.loss() is None


def test_clock_jumps_change_nothing(opener: Opener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Somebody sets the clock, by hours and in both directions, in the middle of a recording."""
    hours = iter(range(0, 10**6, 3))
    monkeypatch.setattr(time, "time", lambda: 1.7e9 + (-1) ** (hour := next(hours)) * hour * 3600.0)
    kept = Kept()
    report = run(
        camera(30, 0.01), opener(), kept, OverlayVideo(tmp_path / "out", "overlay", 100, segment_s=60)
    )
    assert report.stale == 0
    assert all(0 < value < 5000 for result in kept.results for value in result.latency_ms.values())
    moments = [result.frame.time_s for result in kept.results]
    assert moments == sorted(moments)
    assert names(tmp_path / "out") == ["overlay-0001.mp4"]


def test_stop_ends_a_run_whose_source_gives_nothing(opener: Opener) -> None:
    forever = threading.Event()

    class Hanging(Pace):
        def read(self) -> np.ndarray | None:
            forever.wait()
            return None

    pipeline = Pipeline(LiveSource("camera", lambda: Hanging([], 1, 1), Events()), opener(), [Kept()])
    threading.Timer(0.2, pipeline.stop).start()
    started = time.perf_counter()
    assert pipeline.run().frames == 0
    assert time.perf_counter() - started < 8
    forever.set()


def test_stop_ends_a_run_whose_backend_never_answers(
    opener: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "_FRAME_END_S", 0.3)
    monkeypatch.setattr(pipeline_module, "_STAGES_END_S", 0.1)
    asked, free = threading.Event(), threading.Event()

    def opened() -> Session:
        session = opener()()

        def infer(frame: np.ndarray) -> Outputs:
            asked.set()
            free.wait()
            raise RuntimeError

        monkeypatch.setattr(session.backend, "infer", infer)
        return session

    pipeline = Pipeline(VideoFile(write_video(tmp_path / "clip.mp4")), opened, [Kept()])
    threading.Thread(target=lambda: asked.wait(60) and pipeline.stop()).start()
    with pytest.raises(MicroAUNetError, match="the backend hangs"):
        pipeline.run(every_s=0.01)
    free.set()


def test_an_error_in_the_middle_of_a_file_keeps_what_was_before(opener: Opener, tmp_path: Path) -> None:
    class Cut(VideoFile):
        def __iter__(self) -> Iterator:
            for frame in super().__iter__():
                if frame.index == 7:
                    raise InputError("the cable was pulled")
                yield frame

    kept = Kept()
    with pytest.raises(InputError, match="the cable was pulled"):
        run(Cut(write_video(tmp_path / "clip.mp4")), opener(), kept)
    assert [result.frame.index for result in kept.results] == list(range(7))


def test_many_short_runs_leave_nothing_behind(tiny_bundle: Path, tmp_path: Path) -> None:
    """A list of patients: no thread, no open file and no memory stays behind.

    In a process of its own: one in which hundreds of tests ran grows and shrinks by more than is looked for.
    """
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=many_short_runs, args=(tiny_bundle, tmp_path))
    process.start()
    process.join(300)
    assert process.exitcode == 0


def many_short_runs(bundle: Path, folder: Path) -> None:
    process = psutil.Process()
    clip = write_video(folder / "clip.mp4", frames=6)

    def once(number: int) -> None:
        out = folder / "out" / str(number)
        sinks = [OverlayVideo(out, "overlay", 20), JsonLines(out / "frames.jsonl"), Kept()]
        source = camera(6, 0.002) if number % 2 else VideoFile(clip)
        assert run(source, lambda: open_session(bundle, backend="onnxruntime"), *sinks).loss() is None

    def held() -> int:
        """Resident bytes, without what the C library keeps for the next allocation."""
        gc.collect()
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).malloc_trim(0)
        return int(process.memory_info().rss)

    def settled() -> tuple[int, int]:
        return process.num_fds(), threading.active_count()

    for number in range(8):
        once(number)
    before, memory = settled(), [held()]
    for number in range(8, 200):
        once(number)
        if number % 48 == 7:
            memory.append(held())
    deadline = time.monotonic() + 5
    while settled() != before and time.monotonic() < deadline:
        time.sleep(0.05)
    files, threads = settled()
    assert files <= before[0]
    assert threads <= before[1]
    # The heap's size moves by some MiB either way; what each run leaves behind adds up in every block of 48.
    growth = [after - earlier for earlier, after in itertools.pairwise(memory)]
    print("grew by", *(f"{block / 2**20:.2f}" for block in growth), "MiB")
    assert min(growth) < 2 << 20
    assert memory[-1] - memory[0] < 15 << 20, "80 kB for each run would be a leak"


def test_a_run_that_is_stopped_as_it_begins_is_no_hang(opener: Opener) -> None:
    pipeline = Pipeline(camera(50, 0.02), opener(), [Kept()])
    pipeline.stop()
    assert pipeline.run(every_s=0.001).error == ""
