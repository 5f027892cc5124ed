"""A folder of videos: done once, gone on with after an end, and one bad video stops none of the others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from results import names
from running import RUN, invoke
from stream_server import wait_for
from typer.testing import Result
from videos import play, write_video

from microaunet_runtime.commands.run.folder import MARK, claimed

pytest.importorskip("onnxruntime")


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, frames in ((1, 4), (2, 6), (10, 3)):
        write_video(folder / f"case{number}.mp4", frames=frames)
    return folder


def batch(bundle: Path, videos: Path, tmp_path: Path, *more: object) -> tuple[Result, dict[str, str]]:
    """Run over a folder; the result and the state of each video."""
    common = ("--bundle", bundle, "--backend", "onnxruntime", "--source", videos, "--out", tmp_path / "out")
    done = invoke(*common, "--json", tmp_path / "batch.json", *more)
    content = json.loads((tmp_path / "batch.json").read_text())
    return done, {name: facts["state"] for name, facts in content["videos"].items()}


def stamps(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_each_video_gets_a_folder_and_a_second_run_does_nothing(
    tiny_bundle: Path, videos: Path, tmp_path: Path
) -> None:
    done, states = batch(tiny_bundle, videos, tmp_path)
    assert done.exit_code == 0, done.output
    assert list(states.items()) == [(f"case{number}.mp4", "done") for number in (1, 2, 10)]
    for number, frames in ((1, 4), (2, 6), (10, 3)):
        folder = tmp_path / "out" / f"case{number}"
        assert names(folder) == [MARK, "done.json", "frames.jsonl", "masks", "overlay.mp4"]
        assert len(play(folder / "overlay.mp4")) == len(names(folder / "masks")) == frames
    before = stamps(tmp_path / "out")
    done, states = batch(tiny_bundle, videos, tmp_path)
    assert done.exit_code == 0
    assert set(states.values()) == {"done before"}
    assert stamps(tmp_path / "out") == before


def test_what_changed_is_done_again_and_nothing_else(tiny_bundle: Path, videos: Path, tmp_path: Path) -> None:
    batch(tiny_bundle, videos, tmp_path)
    write_video(videos / "case2.mp4", frames=7)
    write_video(videos / "case3.mp4", frames=2)
    (tmp_path / "out" / "case10" / "done.json").write_text("{ cut")
    _, states = batch(tiny_bundle, videos, tmp_path)
    assert states == {
        "case1.mp4": "done before",
        "case2.mp4": "done",
        "case3.mp4": "done",
        "case10.mp4": "done",
    }
    _, states = batch(tiny_bundle, videos, tmp_path, "--threshold", 0.7)
    assert set(states.values()) == {"done"}, "another threshold gives other masks"


def test_one_bad_video_stops_none_of_the_others(tiny_bundle: Path, videos: Path, tmp_path: Path) -> None:
    (videos / "case2.mp4").write_bytes(os.urandom(5000))
    done, states = batch(tiny_bundle, videos, tmp_path)
    assert done.exit_code == 2
    assert "1 of 3 videos failed" in done.output
    assert "case2.mp4 does not open" in " ".join(done.output.split())
    assert states == {"case1.mp4": "done", "case2.mp4": "failed", "case10.mp4": "done"}


def test_equal_stems_get_folders_of_their_own(tiny_bundle: Path, videos: Path, tmp_path: Path) -> None:
    shutil.copy(videos / "case2.mp4", videos / "case1.avi")
    batch(tiny_bundle, videos, tmp_path)
    assert names(tmp_path / "out") == ["case1.avi", "case1.mp4", "case10", "case2"]


def test_videos_of_one_name_in_two_folders_get_folders_of_their_own(
    tiny_bundle: Path, videos: Path, tmp_path: Path
) -> None:
    for place in ("monday", "tuesday"):
        (videos / place).mkdir()
        shutil.copy(videos / "case2.mp4", videos / place / "case2.mp4")
    pattern = videos / "*day" / "*.mp4"
    _, states = batch(tiny_bundle, pattern, tmp_path)
    assert states == {"monday/case2.mp4": "done", "tuesday/case2.mp4": "done"}
    assert names(tmp_path / "out" / "monday" / "case2" / "masks")
    _, states = batch(tiny_bundle, pattern, tmp_path)
    assert set(states.values()) == {"done before"}


def test_nothing_of_an_earlier_run_stays_among_the_new_results(
    tiny_bundle: Path, videos: Path, tmp_path: Path
) -> None:
    batch(tiny_bundle, videos, tmp_path)
    write_video(videos / "case2.mp4", frames=2)
    (tmp_path / "out" / "case2" / "notes.txt").write_text("mine")
    batch(tiny_bundle, videos, tmp_path, "--no-overlay")
    folder = tmp_path / "out" / "case2"
    assert names(folder) == [MARK, "done.json", "frames.jsonl", "masks", "notes.txt"]
    assert len(names(folder / "masks")) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_ended_goes_on_where_it_was(
    tiny_bundle: Path, videos: Path, tmp_path: Path, number: int
) -> None:
    write_video(videos / "case2.mp4", frames=2000, size=(320, 240))
    out = tmp_path / "out"
    arguments = ["--bundle", tiny_bundle, "--backend", "onnxruntime", "--source", videos, "--out", out]
    process = subprocess.Popen(
        [*RUN, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: (out / "case2" / "masks" / "000010.png").exists(), 60)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), output
    assert (out / "case1" / "done.json").exists()
    assert not (out / "case2" / "done.json").exists()
    if number == signal.SIGINT:
        assert "run the command again" in output
        assert len(play(out / "case2" / "overlay.mp4")) >= 10
    write_video(videos / "case2.mp4", frames=12, size=(320, 240))
    time.sleep(0.01)
    _, states = batch(tiny_bundle, videos, tmp_path)
    assert states == {"case1.mp4": "done before", "case2.mp4": "done", "case10.mp4": "done"}
    assert len(play(out / "case2" / "overlay.mp4")) == 12
    assert {path.name for path in out.rglob(".*")} == {MARK}, "what the killed run left must be gone"


def test_what_others_made_is_never_replaced(tiny_bundle: Path, videos: Path, tmp_path: Path) -> None:
    """Frames and their true masks in the folder that a video's results would go to."""
    theirs = tmp_path / "out" / "case2" / "masks" / "000001.png"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"drawn by hand")
    done, states = batch(tiny_bundle, videos, tmp_path)
    assert done.exit_code == 2
    assert "masks was not made by this program" in " ".join(done.output.split())
    assert states == {"case1.mp4": "done", "case2.mp4": "failed", "case10.mp4": "done"}
    assert theirs.read_bytes() == b"drawn by hand"
    assert names(tmp_path / "out" / "case2") == ["masks"]


def test_a_video_that_another_run_works_on_is_left_to_it(
    tiny_bundle: Path, videos: Path, tmp_path: Path
) -> None:
    with claimed(tmp_path / "out" / "case2"):
        done, states = batch(tiny_bundle, videos, tmp_path)
    assert "another run writes to" in " ".join(done.output.split())
    assert states == {"case1.mp4": "done", "case2.mp4": "failed", "case10.mp4": "done"}
    _, states = batch(tiny_bundle, videos, tmp_path)
    assert states["case2.mp4"] == "done"


def test_a_name_that_cannot_be_printed_stops_none_of_the_others(
    tiny_bundle: Path, videos: Path, tmp_path: Path
) -> None:
    (videos / "case2.mp4").rename(os.fsdecode(os.fsencode(videos) + b"/caf\xe9.mp4"))
    done, states = batch(tiny_bundle, videos, tmp_path)
    assert done.exit_code == 2
    assert "not UTF-8" in done.output
    assert sorted(states.values()) == ["done", "done", "failed"]


def test_videos_whose_names_nearly_collide_keep_their_results(tiny_bundle: Path, tmp_path: Path) -> None:
    """Two shared a folder, so each undid the other's results and both were done again for ever."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for name, frames in (("a.mp4", 2), ("a.avi", 3), ("a.mp4.mkv", 4)):
        write_video(videos / "clip.mp4", frames=frames).rename(videos / name)
    _, states = batch(tiny_bundle, videos, tmp_path)
    assert set(states.values()) == {"done"}
    assert names(tmp_path / "out") == ["a.avi", "a.mp4", "a.mp4.mkv"]
    _, states = batch(tiny_bundle, videos, tmp_path)
    assert set(states.values()) == {"done before"}
