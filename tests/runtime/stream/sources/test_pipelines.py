"""Pipelines of files: every frame arrives, with the decoder that is here in the place of a board's."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from gstreamer import run_with_gstreamer
from rtsp_camera import rtsp_camera
from videos import write_video

from microaunet_runtime.errors import InputError, MissingDependencyError
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.sources import pipelines
from microaunet_runtime.stream.sources.opening import open_live, open_recorded

# A board's decoder of H.264 is "h264parse ! nvv4l2decoder ! nvvidconv"; docs/live.md has the whole of it.
DECODED = "qtdemux ! mpeg4videoparse ! avdec_mpeg4 ! videoconvert ! video/x-raw,format={format} ! appsink"

TAKE_SLOWLY = """
import sys, time
import numpy as np
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.sources.opening import open_live, open_recorded
assert open_live(sys.argv[1], Events()) is None
source = open_recorded(sys.argv[1])
assert not source.live
began, seen = time.perf_counter(), []
for frame in source:
    assert frame.image.dtype == np.uint8 and frame.image.shape == (64, 96, 3) and frame.bgr
    if frame.index < 20:
        time.sleep(0.05)
    seen.append(frame.index)
print(len(seen), seen == list(range(len(seen))), source.dropped, round(source.fps), source.title)
print(time.perf_counter() - began)
"""


@pytest.mark.parametrize("picture", ["BGR", "BGRx"])
def test_no_frame_of_a_file_is_lost_however_slowly_they_are_taken(tmp_path: Path, picture: str) -> None:
    path = write_video(tmp_path / "clip.mp4", frames=200, fps=25)
    pipeline = f"gst:filesrc location={path} ! {DECODED.format(format=picture)}"
    said = run_with_gstreamer(TAKE_SLOWLY, pipeline, elements=("qtdemux", "avdec_mpeg4", "mpeg4videoparse"))
    facts, seconds = said.splitlines()
    assert facts == f"200 True 0 25 {path}"
    assert float(seconds) < 8  # played by its clock it would take 8 seconds


def test_a_file_that_is_cut_short_is_an_error(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", frames=100, fps=25)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    pipeline = f"gst:filesrc location={path} ! avidemux ! {DECODED.format(format='BGR').partition(' ! ')[2]}"
    code = """
import sys
from microaunet_runtime.errors import InputError
from microaunet_runtime.stream.sources.opening import open_recorded
try:
    print(len(list(open_recorded(sys.argv[1]))))
except InputError as error:
    print("refused:", error)
"""
    said = run_with_gstreamer(code, pipeline, elements=("avidemux", "avdec_mpeg4", "mpeg4videoparse"))
    assert said.startswith("refused:") or int(said) < 60


@pytest.fixture
def with_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda backend: True)


@pytest.mark.usefixtures("with_gstreamer")
@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("filesrc location=nothing.mp4 ! decodebin ! appsink", r"nothing\.mp4 is not a file"),
        ("filesrc ! decodebin ! appsink", "needs location=FILE"),
        ("filesrc location={clip} ! decodebin ! appsink drop=true", "drop=true loses frames"),
        ("filesrc location={clip} ! decodebin ! fakesink", "end in one appsink"),
    ],
)
def test_what_cannot_be_read_without_a_loss_is_refused(tmp_path: Path, pipeline: str, message: str) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=2)
    with pytest.raises(InputError, match=message):
        open_recorded(f"gst:{pipeline.format(clip=clip)}")


def test_without_gstreamer_a_file_pipeline_names_the_remedy(tmp_path: Path) -> None:
    if cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        pytest.skip("this OpenCV has GStreamer")
    clip = write_video(tmp_path / "clip.mp4", frames=2)
    with pytest.raises(MissingDependencyError, match="--system-site-packages"):
        open_recorded(f"gst:filesrc location={clip} ! decodebin ! appsink")


@pytest.mark.parametrize(
    ("pipeline", "file"),
    [("filesrc location=x ! appsink", True), ("rtspsrc location=x ! appsink", False), ("", False)],
)
def test_only_a_file_waits(pipeline: str, file: bool) -> None:
    assert pipelines.is_file(pipeline) == file


def test_a_live_pipeline_is_no_file() -> None:
    with pytest.raises((InputError, MissingDependencyError)):
        open_live("gst:v4l2src ! filesink", Events())


RTSP = """
import sys
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.sources.opening import open_live
source = open_live(sys.argv[1], Events())
assert source.live
for count, frame in enumerate(source, 1):
    assert frame.image.shape == (240, 320, 3)
    if count == 10:
        break
source.close()
print(count)
"""


def test_a_network_camera_through_a_pipeline_gives_frames() -> None:
    # docs/live.md has the line for a board, whose decoder is nvv4l2decoder.
    with rtsp_camera() as (url, _):
        depacketised = f"rtspsrc location={url} latency=100 ! rtph264depay ! h264parse"
        picture = "avdec_h264 ! videoconvert ! video/x-raw,format=BGR"
        pipeline = f"gst:{depacketised} ! {picture} ! appsink drop=true max-buffers=1 sync=false"
        said = run_with_gstreamer(
            RTSP, pipeline, elements=("rtspsrc", "rtph264depay", "h264parse", "avdec_h264")
        )
    assert said.split() == ["10"]
