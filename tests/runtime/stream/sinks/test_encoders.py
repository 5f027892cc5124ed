"""The hardware encoder's way, with the encoder on the CPU that Debian's GStreamer has in its place."""

from __future__ import annotations

from pathlib import Path

from gstreamer import run_with_gstreamer
from videos import play

from microaunet_runtime.stream.sinks import encoders

WRITE = """
import sys
from pathlib import Path
import numpy as np
from microaunet_runtime.stream.sinks import encoders
from microaunet_runtime.stream.sinks.files import OverlayVideo
from results import result
encoders.CONVERTER, encoders.ENCODER = "video/x-raw,format=I420", sys.argv[2]
print(encoders.hardware_works())
sink = OverlayVideo(Path(sys.argv[1]), "overlay", 25.0)
for index in range(30):
    sink.write(result(index))
sink.close()
"""


def codec(path: Path) -> bytes:
    """The name of the video's format in its container."""
    content = path.read_bytes()
    return next(name for name in (b"avc1", b"mp4v") if name in content)


def test_a_working_encoder_writes_the_overlay_and_every_frame_is_there(tmp_path: Path) -> None:
    folder = tmp_path / 'a "folder" with spaces'
    said = run_with_gstreamer(
        WRITE, folder, "x264enc speed-preset=ultrafast", elements=("x264enc", "qtmux", "h264parse")
    )
    assert said.split() == ["True"]
    assert codec(folder / "overlay.mp4") == b"avc1"
    assert len(play(folder / "overlay.mp4")) == 30


def test_an_encoder_that_is_there_and_does_not_work_is_passed_over(tmp_path: Path) -> None:
    said = run_with_gstreamer(WRITE, tmp_path, "identity error-after=1", elements=("qtmux", "h264parse"))
    assert said.split() == ["False"]
    assert codec(tmp_path / "overlay.mp4") == b"mp4v"
    assert len(play(tmp_path / "overlay.mp4")) == 30


def test_a_machine_without_the_element_writes_on_the_cpu(tmp_path: Path) -> None:
    assert not encoders.hardware_works()
    writer = encoders.open_writer(tmp_path / "x.mp4", 25.0, (64, 48))
    assert writer is not None
    writer.release()
