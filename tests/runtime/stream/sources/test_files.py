"""Every file source gives its frames in order, or one error that names what is wrong."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redness import polyp_frame
from videos import write_video

from microaunet_runtime import InputError
from microaunet_runtime.images import write_image
from microaunet_runtime.stream.sources.container import CUT_SHORT, DAMAGED, defect
from microaunet_runtime.stream.sources.files import find_videos, open_files
from microaunet_runtime.stream.sources.frame import Frame


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for number in (10, 2, 1, 33):
        write_image(folder / f"frame{number}.png", np.full((8, 9, 3), number, np.uint8))
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image either")
    return folder


def test_a_folder_gives_its_images_in_natural_order(images: Path) -> None:
    source = open_files(str(images))
    frames = list(source)
    assert [frame.name for frame in frames] == ["frame1", "frame2", "frame10", "frame33"]
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10, 33]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert source.count == 4
    assert source.fps is None


def test_a_glob_and_a_single_file(images: Path) -> None:
    assert [f.name for f in open_files(f"{images}/frame1*.png")] == ["frame1", "frame10"]
    assert [f.name for f in open_files(str(images / "frame2.png"))] == ["frame2"]


def test_names_stay_apart_when_stems_do_not(images: Path) -> None:
    shutil.copy(images / "frame2.png", images / "frame2.png.bmp.png")
    write_image(images / "frame2.jpg", np.zeros((8, 9, 3), np.uint8))
    write_image(images / "frame2.png.bmp", np.zeros((8, 9, 3), np.uint8))
    names = [frame.name for frame in open_files(str(images))]
    assert len(set(names)) == len(names) == 7
    assert {"frame1", "frame2.png", "frame2.jpg", "frame2.png.bmp"} < set(names)


def test_a_video_gives_every_frame_with_its_time(tmp_path: Path) -> None:
    source = open_files(str(write_video(tmp_path / "clip.mp4")))
    frames = list(source)
    assert len(frames) == source.count == 12
    assert frames[3].time_s == pytest.approx(3 / 20)
    assert [frame.name for frame in frames[:2]] == ["000000", "000001"]
    assert all(frame.bgr and frame.image.shape == (64, 96, 3) for frame in frames)
    assert not np.shares_memory(frames[0].image, frames[1].image)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.mp4").write_bytes(os.urandom(4096))
    (tmp_path / "zero.mp4").write_bytes(b"")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(50))
    for name, reason in (
        ("missing.mp4", "does not exist"),
        ("missing.png", "does not exist"),
        ("empty", "holds no image"),
        ("no*.jpg", "holds no image"),
        ("noise.mp4", "does not open as a video"),
        ("zero.mp4", "does not open as a video"),
        ("broken.png", "broken.png"),
    ):
        with pytest.raises(InputError, match=reason):
            list(open_files(str(tmp_path / name)))


CODECS = {
    "avi": "MJPG",
    "mkv": "MJPG",
    "webm": "VP80",
    "mp4": "mp4v",
    "mov": "mp4v",
    "wmv": "WMV2",
    "mpg": "MPG1",
    "ts": "mp4v",
}


@cache
def moving_video(suffix: str, frames: int = 60) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"whole.{suffix}")
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODECS[suffix]), 25, (96, 64))
        for index in range(frames):
            writer.write(polyp_frame(64, 96, 20 + index, 30, 9, index // 4))
        writer.release()
        return path.read_bytes()


@pytest.mark.parametrize("suffix", CODECS)
def test_a_whole_video_is_no_damaged_one(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"whole.{suffix}"
    path.write_bytes(moving_video(suffix))
    frames = list(open_files(str(path)))
    assert len(frames) == 60
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(60)], abs=2e-3)


@pytest.mark.parametrize("part", ["cut", "zeros", "noise"])
@pytest.mark.parametrize("suffix", CODECS)
def test_a_video_that_was_cut_short_or_has_a_hole_is_an_error_after_its_frames(
    tmp_path: Path, suffix: str, part: str
) -> None:
    path = tmp_path / f"{part}.{suffix}"
    whole = moving_video(suffix)
    half, fifth = len(whole) // 2, len(whole) // 5
    hole = bytes(fifth) if part == "zeros" else np.random.default_rng(0).bytes(fifth)
    path.write_bytes(whole[: -fifth - 100] if part == "cut" else whole[:half] + hole + whole[half + fifth :])
    frames: list[Frame] = []
    with pytest.raises(InputError, match=rf"{part}\.{suffix} .*(damaged|cut short)"):
        frames.extend(open_files(str(path)))
    if (part, suffix) in {("cut", "mp4"), ("cut", "mov")}:  # their index was in the part that is gone
        return
    assert 15 < len(frames) < 60
    assert frames[-1].time_s >= (len(frames) - 1) / 25 - 2e-3


def test_after_a_hole_frames_keep_their_times(tmp_path: Path) -> None:
    path = tmp_path / "hole.webm"
    whole = moving_video("webm")
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 5) + whole[len(whole) * 7 // 10 :])
    frames: list[Frame] = []
    with pytest.raises(InputError, match="damaged"):
        frames.extend(open_files(str(path)))
    assert frames[-1].time_s == pytest.approx(59 / 25, abs=0.05)


def test_a_transport_stream_that_begins_inside_a_packet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    path.write_bytes(moving_video("ts")[100:])
    assert len(list(open_files(str(path)))) >= 50


def test_an_mp4_that_states_its_index_first_and_was_cut_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    whole = moving_video("mp4")
    index = whole.index(b"moov") - 4
    media = whole.index(b"mdat") - 4
    path.write_bytes(whole[:media] + whole[index:] + whole[media : media + 3000])
    assert defect(path) == CUT_SHORT


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"Patient 1: nothing found.\n" * 40),
        ("deep.ppm", b"P6 8 8 65535\n" + bytes(8 * 8 * 6)),
        ("deep.pgm", b"P5 8 8 65535\n" + bytes(8 * 8 * 2)),
        ("a.jp2", bytes.fromhex("0000000c6a5020200d0a870a") + bytes(500)),
        ("raw.y4m", b"YUV4MPEG2 W8 H8 F25:1 C420p16\nFRAME\n" + bytes(192)),
    ],
)
def test_text_and_images_are_no_videos(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} does not open as a video: it is not an MP4"):
        open_files(str(path))


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_of_a_container_gives_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    suffix = data.draw(st.sampled_from(sorted(CODECS)))
    content = moving_video(suffix, frames=6)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 64) | st.integers(0, len(content)))
        gone = data.draw(st.integers(0, 8) | st.integers(0, len(content)))
        content = content[:at] + data.draw(st.binary(max_size=12)) + content[at + gone :]
    path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
    path.write_bytes(content)
    assert defect(path) in ("", CUT_SHORT, DAMAGED)


def test_a_name_that_is_not_utf_8_is_refused_and_shown(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4"))
    write_video(tmp_path / "clip.mp4").rename(path)
    with pytest.raises(InputError, match=r"caf\\udce9\.mp4: the name is not UTF-8"):
        open_files(str(path))


def test_a_video_without_a_frame_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.avi"
    cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48)).release()
    with pytest.raises(InputError, match=r"none\.avi"):
        open_files(str(path))


def test_a_video_of_huge_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (8192, 8192))
    writer.write(np.zeros((8192, 8192, 3), np.uint8))
    writer.release()
    with pytest.raises(InputError, match=r"huge\.avi is 8192 x 8192: more than 64 megapixels"):
        open_files(str(path))


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {other}\n",
    ],
)
def test_a_playlist_cannot_reach_other_files(tmp_path: Path, text: str) -> None:
    other = write_video(tmp_path / "other.mp4")
    playlist = tmp_path / "clip.mp4"
    playlist.write_text(text.format(other=other))
    with pytest.raises(InputError, match="playlist"):
        open_files(str(playlist))


def test_a_name_is_only_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither FFmpeg's protocols nor OpenCV's patterns are read into a file name."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "concat:a.mp4", frames=3)
    write_video(tmp_path / "img%03d.mp4", frames=4)
    write_image(tmp_path / "img000.png", np.zeros((8, 8, 3), np.uint8))
    assert len(list(open_files("concat:a.mp4"))) == 3
    assert len(list(open_files("img%03d.mp4"))) == 4


def test_videos_of_a_folder_and_a_mix_that_must_be_decided(tmp_path: Path, images: Path) -> None:
    for number in (10, 9):
        write_video(tmp_path / f"clip{number}.mp4", frames=2)
    assert [path.name for path in find_videos(str(tmp_path))] == ["clip9.mp4", "clip10.mp4"]
    assert [path.name for path in find_videos(f"{tmp_path}/*9.mp4")] == ["clip9.mp4"]
    assert find_videos(str(images)) == []
    write_image(tmp_path / "stray.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match=r"1 images and 2 videos.*glob"):
        find_videos(str(tmp_path))
