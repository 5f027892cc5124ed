"""What the soak puts a run through really happens."""

from __future__ import annotations

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
