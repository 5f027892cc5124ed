"""What the soak puts a run through really happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.measuring.camera import SimulatedCamera
from benchmarks.measuring.small_disk import small_disk
from microaunet_runtime.stream.events import Events


def test_the_camera_gives_all_its_frames_over_connections_that_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmarks.measuring.camera.STALL_S", 0.3)
    camera = SimulatedCamera(frames=40, fps=200, together=12)
    events = Events()
    source = camera.source(events)
    indices = [frame.index for frame in source]
    source.close()
    assert camera.given == 40
    assert source.reconnects == 3
    assert indices == sorted(set(indices))
    said = [event["what"] for event in events.record()]
    assert any("connection lost" in what for what in said)
    assert any("no frame arrives" in what for what in said)


def test_the_disk_fills_and_empties(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", more_bytes=0) as disk:
        path = disk.folder / "recording"
        for _ in range(2):
            path.write_bytes(bytes(100_000))
            disk.crowd()
            disk.fill()
            with pytest.raises(OSError, match=r"No space left|File too large"):
                path.with_name("more").write_bytes(bytes(100_000))
            path.with_name("more").unlink()
            disk.empty()
    path = tmp_path / "large"
    path.write_bytes(bytes(100_000))  # nothing is limited any more


def test_a_soak_that_is_told_to_end_leaves_no_disk_behind(edge_bundle: Path, tmp_path: Path) -> None:
    command = (
        sys.executable,
        "-m",
        "benchmarks.soak",
        "--bundle",
        edge_bundle,
        "--json",
        tmp_path / "soak.json",
    )
    soak = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(1200):
            if list(tmp_path.glob("soak-*/disk/frames.jsonl")) or soak.poll() is not None:
                break
            time.sleep(0.1)
        soak.send_signal(signal.SIGTERM)
        assert soak.wait(60) == 128 + signal.SIGTERM, soak.communicate()[1]
    finally:
        soak.kill()
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert not list(tmp_path.iterdir())
