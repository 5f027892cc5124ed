"""Every file source gives its frames in order, or one error that names what is wrong."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from videos import write_video

from microaunet_runtime import InputError
from microaunet_runtime.images import write_image
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
    shutil.copy(images / "frame2.png", images / "frame2.bmp.png")
    write_image(images / "frame2.jpg", np.zeros((8, 9, 3), np.uint8))
    names = [frame.name for frame in open_files(str(images))]
    assert len(set(names)) == len(names) == 6


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


@pytest.mark.parametrize(
    ("name", "codec"), [("cut.avi", "MJPG"), ("cut.mkv", "MJPG"), ("cut.mkv", "mp4v"), ("hole.mp4", "mp4v")]
)
def test_a_video_that_was_cut_short_is_an_error_after_its_frames(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = tmp_path / name
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 25, (96, 64))
    for index in range(100):
        writer.write(np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()
    content = path.read_bytes()
    third = len(content) // 3
    path.write_bytes(
        content[:third] if name.startswith("cut") else content[:third] + bytes(third) + content[2 * third :]
    )
    frames: list[Frame] = []
    with pytest.raises(InputError, match=rf"{name} ends at frame \d+ of 100: it is damaged or was cut"):
        frames.extend(open_files(str(path)))
    assert 5 < len(frames) < 60


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
