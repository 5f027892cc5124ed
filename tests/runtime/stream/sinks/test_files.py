"""What sinks write can be read back, and a file that has its name is complete."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from results import names, result
from videos import play

from microaunet_runtime import InputError
from microaunet_runtime.images import read_image
from microaunet_runtime.stream.sinks.files import JsonLines, MaskImages, OverlayImages, OverlayVideo


def test_masks_are_0_and_255_at_the_frames_size(tmp_path: Path) -> None:
    sink = MaskImages(tmp_path / "masks")
    sink.write(result(3))
    stored = cv2.imread(str(tmp_path / "masks" / "000003.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, result(3).mask * 255)


def test_overlay_images_keep_their_colours(tmp_path: Path) -> None:
    shown = result(0)
    assert shown.overlay is not None
    shown.overlay[..., 0] = 200  # blue, as bgr says
    sink = OverlayImages(tmp_path)
    sink.write(shown)
    np.testing.assert_array_equal(read_image(tmp_path / "000000.png")[0, 0], (100, 100, 200))


def test_json_lines_hold_the_documented_keys(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "frames.jsonl")
    for index in range(3):
        sink.write(result(index))
    assert not (tmp_path / "frames.jsonl").exists(), "half a file must not have the name"
    sink.close()
    lines = [json.loads(line) for line in (tmp_path / "frames.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert lines[1]["time_s"] == pytest.approx(0.05)
    assert lines[1]["polyp_area_px"] == 150
    assert lines[1]["boxes"] == [
        {"x": 6, "y": 5, "width": 15, "height": 10, "area": 150, "share": 150 / 3072, "id": 1, "frames": 1}
    ]
    assert lines[1]["presence"] == 0.9
    assert lines[1]["latency_ms"] == {"inference": 1.2346, "end_to_end": 3.0}
    assert names(tmp_path) == ["frames.jsonl"]


def test_live_json_lines_are_on_disk_at_once(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "frames.jsonl", append_live=True)
    sink.write(result(0))
    assert json.loads((tmp_path / "frames.jsonl").read_text())["index"] == 0
    sink.close()


def test_a_half_line_left_by_a_full_disk_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_text('{"index": 0}\n{"ind')
    sink = JsonLines(path, append_live=True)
    sink.write(result(1))
    sink.close()
    assert [json.loads(line)["index"] for line in path.read_text().splitlines()] == [0, 1]


def test_a_video_appears_when_it_is_complete(tmp_path: Path) -> None:
    sink = OverlayVideo(tmp_path, "overlay", 20)
    for index in range(9):
        sink.write(result(index))
    assert not (tmp_path / "overlay.mp4").exists()
    sink.close()
    sink.close()
    assert names(tmp_path) == ["overlay.mp4"]
    frames = play(tmp_path / "overlay.mp4")
    assert len(frames) == 9
    assert abs(int(frames[4].mean()) - 100) < 5


@pytest.mark.parametrize("fps", [29.97003, 99.999, 239.853, 999.9999])
def test_uneven_rates_can_be_written(tmp_path: Path, fps: float) -> None:
    sink = OverlayVideo(tmp_path, "overlay", fps)
    for index in range(5):
        sink.write(result(index))
    sink.close()
    capture = cv2.VideoCapture(str(tmp_path / "overlay.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-3)


def test_a_relative_name_with_a_colon_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sink = OverlayVideo(Path("cam:0"), "overlay", 20)
    sink.write(result(0))
    sink.close()
    assert len(play(tmp_path / "cam:0" / "overlay.mp4")) == 1


def test_odd_sizes_lose_no_pixel(tmp_path: Path) -> None:
    sink = OverlayVideo(tmp_path, "overlay", 20)
    sink.write(result(0, 49, 65))
    sink.close()
    assert play(tmp_path / "overlay.mp4")[0].shape == (50, 66, 3)


def test_another_frame_size_begins_another_file(tmp_path: Path) -> None:
    sink = OverlayVideo(tmp_path, "overlay", 20)
    for index, (height, width) in enumerate([(48, 64)] * 3 + [(96, 128)] * 4 + [(48, 64)] * 2):
        sink.write(result(index, height, width))
    sink.close()
    assert names(tmp_path) == ["overlay-0002.mp4", "overlay-0003.mp4", "overlay.mp4"]
    assert [len(play(tmp_path / name)) for name in names(tmp_path)] == [4, 2, 3]


def test_segments_are_cut_by_time(tmp_path: Path) -> None:
    sink = OverlayVideo(tmp_path, "overlay", 20, segment_s=0.5)
    for index in range(25):
        sink.write(result(index))
    sink.close()
    assert names(tmp_path) == ["overlay-0001.mp4", "overlay-0002.mp4", "overlay-0003.mp4"]
    assert [len(play(tmp_path / name)) for name in names(tmp_path)] == [10, 10, 5]


def test_nothing_written_leaves_no_file(tmp_path: Path) -> None:
    for sink in (OverlayVideo(tmp_path, "overlay", 20), JsonLines(tmp_path / "frames.jsonl")):
        sink.close()
    assert names(tmp_path) == []


def test_too_little_space_is_said_before_it_is_too_late(tmp_path: Path) -> None:
    """With less free than the reserve the video under way is closed, complete and playable."""
    sink = OverlayVideo(tmp_path, "overlay", 20)
    sink.write(result(0))
    sink.close()
    full = OverlayVideo(tmp_path, "second", 20, reserve=1 << 60)
    with pytest.raises(InputError, match="no space left"):
        full.write(result(1))
    full.close()
    assert names(tmp_path) == ["overlay.mp4"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for sink in (
        OverlayVideo(tmp_path / "file", "overlay", 20),
        JsonLines(tmp_path / "file" / "frames.jsonl"),
        MaskImages(tmp_path / "file" / "masks"),
    ):
        with pytest.raises(InputError, match=r"cannot write .*file"):
            sink.write(result(0))
