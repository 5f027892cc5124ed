"""Live sources: what comes is passed on at once, what breaks is noticed, what returns is taken up."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from redness import polyp_frame
from rtsp_camera import rtsp_camera
from stream_server import StreamServer, jpeg, wait_for
from videos import write_video

from microaunet_runtime import InputError, MissingDependencyError
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.sources import captures
from microaunet_runtime.stream.sources.captures import Capture, as_bgr, without_password
from microaunet_runtime.stream.sources.frame import Frame
from microaunet_runtime.stream.sources.live import LiveSource
from microaunet_runtime.stream.sources.opening import open_live


class StandInCamera:
    """A capture that plays a script: an array is a frame, a function is called, the end is a loss."""

    fps: float | None = 100.0
    endless = True

    def __init__(self, script: Iterator[object]) -> None:
        self.script = script
        self.released = False

    def read(self) -> np.ndarray | None:
        for step in self.script:
            if callable(step):
                step()
                continue
            time.sleep(0.002)
            return step  # type: ignore[return-value]
        return None

    def release(self) -> None:
        self.released = True


def picture(shade: int, height: int = 24, width: int = 32) -> np.ndarray:
    return np.full((height, width, 3), shade, np.uint8)


def played(*connections: list[object], **settings: object) -> tuple[LiveSource, Events, list[StandInCamera]]:
    """A live source whose n-th connection plays the n-th script, or is refused by an InputError."""
    cameras: list[StandInCamera] = []
    scripts = iter(connections)

    def connect() -> Capture:
        script = next(scripts, None)
        if script is None or isinstance(script, InputError):
            raise script or InputError("unplugged")
        cameras.append(StandInCamera(iter(script)))
        return cameras[-1]

    events = Events()
    source = LiveSource("camera", connect, events, **{"back_off_s": (0.02, 0.1), "stall_s": 0.3, **settings})  # type: ignore[arg-type]
    return source, events, cameras


def collect(source: LiveSource, enough: Callable[[list[Frame]], bool], seconds: float = 20) -> list[Frame]:
    frames: list[Frame] = []
    guard = threading.Timer(seconds, source.stop)
    guard.start()
    for frame in source:
        frames.append(frame)
        if enough(frames):
            break
    guard.cancel()
    source.close()
    return frames


def what(events: Events) -> str:
    return "\n".join(event["what"] for event in events.record())


def test_a_rendered_camera_that_is_first_read_late_does_not_hurry_to_catch_up() -> None:
    """Its clock starts with the first frame, or two would arrive at once."""
    camera = captures.Synthetic(frames=2, fps=10, height=32, width=32)
    time.sleep(0.15)
    camera.read()
    first = time.perf_counter()
    camera.read()
    assert time.perf_counter() - first > 0.09


def test_unplugged_and_back() -> None:
    refused = InputError("camera does not open")
    source, events, cameras = played([picture(1)] * 5, refused, refused, [picture(2)] * 50)  # type: ignore[arg-type]
    frames = collect(source, lambda frames: frames[-1].image[0, 0, 0] == 2)
    assert frames[0].image[0, 0, 0] == 1
    assert source.reconnects == 1
    log = what(events)
    assert "connection lost; connecting again in 0.02 s" in log
    assert "does not open; connecting again in 0.04 s" in log, "the wait must grow"
    assert "camera: back after" in log
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert cameras[0].released


def test_a_stall_is_noticed_and_left_behind() -> None:
    forever = threading.Event()
    source, events, _ = played([picture(1)] * 3 + [forever.wait], [picture(2)] * 50)
    started = time.perf_counter()
    frames = collect(source, lambda frames: frames[-1].image[0, 0, 0] == 2)
    assert frames[-1].image[0, 0, 0] == 2
    assert time.perf_counter() - started < 10
    assert "no frame arrives; connecting again" in what(events)
    forever.set()


def test_a_connection_that_takes_longer_to_open_than_a_stall_comes_back() -> None:
    opening = lambda: time.sleep(0.8)  # noqa: E731
    source, _, cameras = played([picture(1)], [opening, picture(2)])
    seen = collect(source, lambda frames: len(frames) == 2)
    assert [int(frame.image[0, 0, 0]) for frame in seen] == [1, 2]
    assert len(cameras) == 2


def test_a_connection_that_never_gives_a_frame_is_given_up() -> None:
    hanging = lambda: time.sleep(5)  # noqa: E731
    source, events, _ = played([picture(1)], [hanging], [picture(2)], first_frame_s=0.5)
    seen = collect(source, lambda frames: len(frames) == 2)
    assert [int(frame.image[0, 0, 0]) for frame in seen] == [1, 2]
    assert "no frame arrives" in what(events)


def test_a_driver_that_raises_is_a_lost_connection() -> None:
    def broken() -> None:
        raise RuntimeError("select timeout")

    source, events, _ = played([picture(1), broken], [picture(2)] * 50)
    frames = collect(source, lambda frames: frames[-1].image[0, 0, 0] == 2)
    assert frames[-1].image[0, 0, 0] == 2
    assert "select timeout; connecting again" in what(events)


def test_stop_ends_a_source_that_hangs_at_once() -> None:
    forever = threading.Event()
    source, _, _ = played([picture(1), forever.wait], stall_s=60)
    threading.Timer(0.3, source.stop).start()
    started = time.perf_counter()
    assert len(collect(source, lambda frames: False)) <= 1
    assert time.perf_counter() - started < 5
    forever.set()


def test_stop_ends_the_wait_for_a_reconnection() -> None:
    source, _, _ = played([picture(1)], back_off_s=(60.0, 60.0))
    threading.Timer(0.3, source.stop).start()
    started = time.perf_counter()
    collect(source, lambda frames: False)
    assert time.perf_counter() - started < 5


def test_bad_frames_are_skipped_and_counted() -> None:
    bad: list[object] = [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((24, 32, 3), np.uint16),
        np.zeros((24, 32, 2), np.uint8),
        np.zeros((4,), np.uint8),
    ]
    source, _, _ = played([picture(1), *bad, picture(1), *bad, *[picture(2)] * 20])
    frames = collect(source, lambda frames: frames[-1].image[0, 0, 0] == 2)
    assert source.skipped == 8
    assert all(frame.image.shape == (24, 32, 3) for frame in frames)


def test_nothing_but_bad_frames_is_as_good_as_no_connection() -> None:
    source, events, _ = played([np.zeros((0, 0, 3), np.uint8)] * 150, [picture(2)] * 20)
    frames = collect(source, lambda frames: True)
    assert frames[0].image[0, 0, 0] == 2
    assert "100 frames in a row cannot be used" in what(events)


def test_grey_and_four_channels_become_bgr() -> None:
    grey = np.full((24, 32), 77, np.uint8)
    four = np.dstack([picture(10), np.zeros((24, 32), np.uint8)])
    for image, shade in ((grey, 77), (grey[..., None], 77), (four, 10)):
        converted = as_bgr(image)
        assert converted.shape == (24, 32, 3)
        assert (converted == shade).all()


def test_a_huge_frame_is_refused() -> None:
    huge = np.broadcast_to(np.zeros(3, np.uint8), (9000, 9000, 3))
    with pytest.raises(InputError, match="megapixels"):
        as_bgr(huge)


def test_a_slow_reader_gets_the_newest_frame() -> None:
    """Frames carry their number; a reader at a fifth of the camera's pace is never behind."""
    frames = [np.full((24, 32, 3), number, np.uint8) for number in range(200)]
    source, _, cameras = played(frames)
    latency = []
    for seen, frame in enumerate(source):
        assert frame.captured is not None
        latency.append(time.perf_counter() - frame.captured)
        assert frame.image[0, 0, 0] == frame.index
        time.sleep(0.02)
        if seen == 10:
            break
    source.close()
    assert source.dropped > 20
    assert sorted(latency)[len(latency) // 2] < 0.05
    wait_for(lambda: cameras[0].released)


def test_the_first_connection_must_work() -> None:
    with pytest.raises(InputError, match="unplugged"):
        played()


def test_a_stream_over_http_that_stalls_and_dies_and_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(captures, "READ_TIMEOUT_MS", 1000)
    pictures = [jpeg(polyp_frame(48, 64, 30, 20, 8, seed)) for seed in range(2)]

    def frames(connection: int) -> Iterator[bytes]:
        for _ in range(20):
            yield pictures[0]
        if connection == 0:
            server.stall()
        if connection == 1:
            return  # the server hangs up
        while True:
            yield pictures[1]

    with StreamServer(frames) as server:
        events = Events()
        source = open_live(server.url, events)
        assert isinstance(source, LiveSource)
        source._stall_s, source._back_off_s = 1.0, (0.05, 0.2)
        seen = collect(source, lambda _: server.connections == 3 and source.reconnects == 2)
    assert source.reconnects == 2
    assert all(frame.image.shape == (48, 64, 3) for frame in seen)
    assert events.count >= 4


def test_a_file_behind_an_address_ends(tmp_path: Path) -> None:
    """What says how long it is ends there, and is not asked for again and again."""
    write_video(tmp_path / "clip.mp4", frames=20)
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = open_live(f"http://127.0.0.1:{server.server_address[1]}/clip.mp4", Events())
        assert source is not None
        indices = [frame.index for frame in source]
        server.shutdown()
    assert max(indices) == 19


def test_a_camera_over_rtsp_that_is_unplugged_and_returns() -> None:
    with rtsp_camera() as (url, switch):
        events = Events()
        source = open_live(url, events)
        assert isinstance(source, LiveSource)
        source._back_off_s = (0.05, 0.2)
        switched: list[bool] = []

        def enough(frames: list[Frame]) -> bool:
            if len(frames) == 10 and not switched:
                switched.append(True)
                switch(False)
                switch(True)
            return bool(switched) and source.reconnects > 0

        seen = collect(source, enough, seconds=60)
    assert switched
    assert source.reconnects >= 1
    assert all(frame.image.shape == (240, 320, 3) for frame in seen)


def test_damaged_pictures_in_a_stream_end_nothing() -> None:
    good = jpeg(polyp_frame(48, 64, 30, 20, 8))

    def frames(connection: int) -> Iterator[bytes]:
        for _ in range(5):
            yield from [good] * 4
            yield good[: len(good) // 2]
            yield b""
            yield b"\xff\xd8" + bytes(200)
        while True:
            yield good

    with StreamServer(frames) as server:
        source = open_live(server.url, Events())
        assert isinstance(source, LiveSource)
        source._back_off_s = (0.02, 0.1)
        seen = collect(source, lambda frames: len(frames) > 60)
    assert len(seen) > 60


def test_a_server_that_is_not_there_is_an_input_error() -> None:
    with StreamServer(lambda connection: iter(())) as server:
        url = server.url
    with pytest.raises(InputError, match=r"127\.0\.0\.1.*is the server up"):
        open_live(url.replace("//", "//nurse:secret@"), Events())


def test_passwords_are_never_shown() -> None:
    assert without_password("rtsp://nurse:secret@10.0.0.7/stream") == "rtsp://10.0.0.7/stream"
    assert without_password("rtsp://nurse:p@ss@cam/stream") == "rtsp://cam/stream"
    assert without_password("rtsp://nurse:pa/ss@cam/stream") == "rtsp://cam/stream"
    assert without_password("rtsp://cam/user=nurse&password=secret&channel=1") == "rtsp://cam/..."
    assert without_password("http://cam/video.cgi?user=nurse&pwd=secret") == "http://cam/video.cgi/..."
    with pytest.raises(InputError) as caught:
        open_live("HTTP://nurse:secret@127.0.0.1:1/stream", Events())
    assert "secret" not in str(caught.value)
    with StreamServer(lambda connection: iter([jpeg(picture(9))] * 50)) as server:
        events = Events()
        source = open_live(server.url.replace("//", "//nurse:secret@"), events)
        assert isinstance(source, LiveSource)
        source._back_off_s = (0.02, 0.02)
        collect(source, lambda frames: source.reconnects > 0)
    assert source.title == server.url
    assert "connection lost" in what(events)
    assert "secret" not in what(events)


def test_a_forgotten_prefix_shows_no_password_either() -> None:
    with pytest.raises(InputError, match="write 'gst:'") as caught:
        open_live("rtspsrc location=rtsp://nurse:secret@cam ! decodebin ! appsink", Events())
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["camera:", "camera:-1", "camera:0;rm", "synthetic:x", "v4l2src ! appsink"])
def test_what_is_misspelt_is_explained(text: str) -> None:
    with pytest.raises(InputError, match=r"give|gst:"):
        open_live(text, Events())


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"camera:99 does not open"):
        open_live("camera:99", Events())


@pytest.mark.parametrize("text", ["clip.mp4", "folder/*.png", "C:/clip.mp4", "/data/camera"])
def test_files_are_no_live_sources(text: str) -> None:
    assert open_live(text, Events()) is None


@pytest.mark.parametrize(
    "pipeline",
    [
        "v4l2src ! filesink location=/tmp/x",
        "v4l2src ! tee name=t ! udpsink t. ! appsink",
        "v4l2src",
        "appsink ! x",
        "v4l2src ! tee name=t t. ! queue ! hlssink2 t. ! queue ! appsink",
        "v4l2src ! tee name=t t. filesink location=/tmp/x t. ! appsink",
        "",
    ],
)
def test_a_pipeline_may_only_end_here(pipeline: str) -> None:
    with pytest.raises(InputError, match="end in one appsink"):
        open_live(f"gst:{pipeline}", Events())


def test_without_gstreamer_the_remedy_is_named() -> None:
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(MissingDependencyError, match=r"without GStreamer.*--system-site-packages"):
        open_live("gst:videotestsrc ! videoconvert ! appsink", Events())


def test_with_gstreamer_frames_arrive() -> None:
    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV was built without GStreamer")
    source = open_live(
        "gst:videotestsrc num-buffers=50 ! videoconvert ! video/x-raw,format=BGR ! appsink", Events()
    )
    assert isinstance(source, LiveSource)
    assert collect(source, lambda frames: True)[0].image.ndim == 3


def test_the_synthetic_source_keeps_its_rate_and_ends() -> None:
    source = open_live("synthetic:10", Events())
    assert isinstance(source, LiveSource)
    frames = collect(source, lambda frames: False)
    assert 5 <= len(frames) <= 10
    assert frames[-1].time_s - frames[0].time_s > 0.15
    assert not np.array_equal(frames[0].image, frames[-1].image)
