"""Recordings when the process is killed, stopped, or the disk is full: what has its name can be played."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redness import polyp_frame
from results import names, result
from running import RUN
from stream_server import StreamServer, jpeg, wait_for
from typer.testing import CliRunner
from videos import play

from microaunet_runtime import InputError
from microaunet_runtime.commands.run.command import app
from microaunet_runtime.stream.sinks.files import OverlayVideo

pytest.importorskip("onnxruntime")


@pytest.fixture
def stream() -> Iterator[StreamServer]:
    pictures = [jpeg(polyp_frame(96, 128, 30 + 8 * i, 40, 15, i)) for i in range(8)]

    def frames(connection: int) -> Iterator[bytes]:
        while True:
            yield from pictures

    with StreamServer(frames, fps=50) as server:
        yield server


def start(bundle: Path, stream: StreamServer, out: Path, *more: str) -> subprocess.Popen[str]:
    arguments = [
        "--bundle",
        str(bundle),
        "--backend",
        "onnxruntime",
        "--source",
        stream.url,
        "--out",
        str(out),
    ]
    return subprocess.Popen(
        [*RUN, *arguments, "--segment-seconds", "1", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def recording(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


def test_after_kill_9_the_segments_before_are_playable(
    tiny_bundle: Path, stream: StreamServer, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(tiny_bundle, stream, out)
    wait_for(lambda: list(out.glob("*/overlay-0002.mp4")), 60)
    process.kill()
    process.communicate()
    folder = recording(out)
    segments = sorted(folder.glob("overlay-*.mp4"))
    assert len(segments) >= 2
    for segment in segments:
        assert len(play(segment)) >= 10
    lines = (folder / "frames.jsonl").read_text().splitlines()
    assert sum(len(play(segment)) for segment in segments) <= len(lines)
    assert [json.loads(line)["index"] >= 0 for line in lines[:-1]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_live_run_with_everything_playable(
    tiny_bundle: Path, stream: StreamServer, tmp_path: Path, number: int
) -> None:
    out = tmp_path / "out"
    process = start(tiny_bundle, stream, out, "--json", str(tmp_path / "run.json"))
    wait_for(lambda: list(out.glob("*/overlay-0001.mp4")), 60)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    folder = recording(out)
    facts = json.loads((tmp_path / "run.json").read_text())
    lines = (folder / "frames.jsonl").read_text().splitlines()
    assert len(lines) == facts["frames"] == sum(len(play(p)) for p in folder.glob("overlay-*.mp4"))
    assert not [name for name in names(folder) if name.startswith(".")]
    assert facts["latency_ms"]["end_to_end"]["p50"] > 0


def test_a_signal_ends_a_live_run_whose_stream_hangs(tiny_bundle: Path, tmp_path: Path) -> None:
    """The read under way does not return for seconds: all is closed without it, and the exit code is 0."""

    def frames(connection: int) -> Iterator[bytes]:
        yield from [jpeg(polyp_frame(96, 128, 60, 40, 15))] * 80
        server.stall()

    with StreamServer(frames, fps=50) as server:
        process = start(tiny_bundle, server, tmp_path / "out")
        wait_for(
            lambda: sum(len(p.read_text()) for p in (tmp_path / "out").glob("*/frames.jsonl")) > 8000, 60
        )
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0, output
    folder = recording(tmp_path / "out")
    assert sum(len(play(p)) for p in folder.glob("overlay-*.mp4")) == len(
        (folder / "frames.jsonl").read_text().splitlines()
    )


def test_two_live_runs_of_one_moment_have_folders_of_their_own(tiny_bundle: Path, tmp_path: Path) -> None:
    arguments = ["--bundle", tiny_bundle, "--backend", "onnxruntime", "--source", "synthetic:5"]
    runs = [
        subprocess.Popen(
            [*RUN, *map(str, arguments), "--out", str(tmp_path / "out")], stdout=subprocess.DEVNULL
        )
        for _ in range(3)
    ]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    folders = [tmp_path / "out" / name for name in names(tmp_path / "out")]
    assert len(folders) == 3
    for folder in folders:
        assert len((folder / "frames.jsonl").read_text().splitlines()) <= 5


def test_two_live_runs_never_overwrite_each_other(tiny_bundle: Path, tmp_path: Path) -> None:
    for _ in range(2):
        arguments = ["--bundle", tiny_bundle, "--backend", "onnxruntime", "--source", "synthetic:5"]
        done = CliRunner().invoke(app, [*map(str, arguments), "--out", str(tmp_path / "out")])
        assert done.exit_code == 0, done.output
    assert len(names(tmp_path / "out")) == 2


def test_a_disk_that_fills_up_costs_no_segment_that_was_begun(small_disk: Path) -> None:
    """The reserve is what the video under way needs to be closed; with it everything written is playable."""
    sink = OverlayVideo(small_disk, "overlay", 20, segment_s=100, reserve=1 << 20)
    sink.write(result(0))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(int(3.2 * (1 << 20))))
    sink._checked = float("-inf")  # a second has passed
    with pytest.raises(InputError, match="no space left"):
        sink.write(result(1))
    sink.close()
    assert len(play(small_disk / "overlay-0001.mp4")) == 1
    filler.unlink()
    sink.write(result(2))
    sink.close()
    assert names(small_disk) == ["overlay-0001.mp4", "overlay-0002.mp4"]


def test_a_disk_that_is_full_at_once_gives_no_broken_file(small_disk: Path) -> None:
    """Without the reserve the end of the video cannot be written: it is removed, and the loss is said."""
    sink = OverlayVideo(small_disk, "overlay", 20, reserve=0)
    (small_disk / "filler").write_bytes(bytes((4 << 20) - 8192))

    def record() -> None:
        for index in range(200):
            noisy = result(index % 20)
            assert noisy.overlay is not None
            noisy.overlay[...] = polyp_frame(48, 64, 20, 20, 10, index)
            sink.write(noisy)
        sink.close()

    with pytest.raises(InputError, match=r"frames are lost"):
        record()
    assert names(small_disk) == ["filler"]


def test_inference_goes_on_while_the_disk_is_full(
    tiny_bundle: Path, small_disk: Path, tmp_path: Path
) -> None:
    """The reserve of 16 MB is never free here: no video is begun, every frame is segmented, exit code 1."""
    arguments = ["--bundle", tiny_bundle, "--backend", "onnxruntime", "--source", "synthetic:20"]
    arguments += ["--out", small_disk, "--json", tmp_path / "run.json"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 1
    assert "no space left" in done.output
    facts = json.loads((tmp_path / "run.json").read_text())
    lines = (recording(small_disk) / "frames.jsonl").read_text().splitlines()
    assert len(lines) == facts["frames"] > 5
    (lost,) = [sink["lost"] for title, sink in facts["sinks"].items() if "video" in title]
    assert lost == facts["frames"]
