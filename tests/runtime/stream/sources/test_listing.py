"""``--list-sources``: cameras by name, once each."""

from __future__ import annotations

from pathlib import Path

from running import invoke

from microaunet_runtime.stream.sources.listing import cameras, readers


def test_cameras_are_listed_once_each_and_in_order(tmp_path: Path) -> None:
    for number, (name, index) in {
        10: ("HDMI grabber\n", "0\n"),
        2: ("Endoscope processor\n", "0\n"),
        3: ("Endoscope processor\n", "1\n"),  # its metadata
    }.items():
        (tmp_path / f"video{number}").mkdir()
        (tmp_path / f"video{number}" / "name").write_text(name)
        (tmp_path / f"video{number}" / "index").write_text(index)
    (tmp_path / "v4l-subdev0").mkdir()
    assert list(cameras(tmp_path).items()) == [
        ("camera:2", "Endoscope processor"),
        ("camera:10", "HDMI grabber"),
    ]


def test_a_machine_without_cameras_has_none(tmp_path: Path) -> None:
    assert cameras(tmp_path / "missing") == {}


def test_opencv_says_what_it_can_read() -> None:
    assert readers()["videos and streams (FFmpeg)"]


def test_the_command_lists_without_a_bundle() -> None:
    done = invoke("--list-sources")
    assert done.exit_code == 0, done.output
    assert "FFmpeg" in done.output
    assert "rtsp://" in done.output
