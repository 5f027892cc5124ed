"""``microaunet-run`` on a Triton server that goes away: frames wait or are counted, none shows "no polyp"."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import invoke
from triton_peer import TritonPeer
from videos import write_video

from microaunet_runtime.stream import outage

OPENING = 2 * 4  # frames that a run sends before its first: golden ones, at either opening


@pytest.fixture
def peer(tiny_bundle: Path) -> Iterator[TritonPeer]:
    with TritonPeer(tiny_bundle) as running:
        yield running


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "BACK_OFF_S", (0.1, 0.2))


def after(peer: TritonPeer, answers: int, action: Any) -> threading.Thread:
    """Call ``action`` in a thread of its own once ``peer`` has answered so many frames."""
    reached = threading.Event()
    peer.before = lambda number: reached.set() if number >= answers else None

    def wait() -> None:
        assert reached.wait(30)
        peer.before = lambda number: None
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_live_run_goes_on_when_the_server_is_back_and_counts_what_was_lost(
    tiny_bundle: Path, peer: TritonPeer, tmp_path: Path
) -> None:
    thread = after(peer, OPENING + 15, lambda: peer.away(0.6))
    done = invoke(
        *("--bundle", tiny_bundle, "--backend", "triton", "--url", peer.url, "--presence", 0),
        *("--source", "synthetic:75", "--out", tmp_path / "out", "--json", tmp_path / "run.json"),
    )
    thread.join()
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["outages"] == 1
    assert told["backend_errors"] == 0
    assert told["lost"] >= 10
    assert told["frames"] + told["lost"] + told["dropped"] == 75
    assert f"1 server outages, {told['lost']} lost meanwhile" in done.output
    said = [event["what"] for event in told["events"]]
    assert any("is gone" in what and "connecting again in 0.1 s" in what for what in said)
    assert any("back after" in what and f"{told['lost']} frames lost" in what for what in said)
    (folder,) = (tmp_path / "out").iterdir()
    written = lines(folder / "frames.jsonl")
    assert len(written) == told["frames"]
    gap = next(i for i, line in enumerate(written) if line["lost"])
    assert written[gap]["index"] - written[gap - 1]["index"] > told["lost"]
    assert {line["lost"] for line in written} == {0, told["lost"]}
    assert written[-1]["index"] > 60


def test_the_frames_of_a_file_wait_for_the_server(
    tiny_bundle: Path, peer: TritonPeer, tmp_path: Path
) -> None:
    thread = after(peer, OPENING + 15, lambda: peer.away(0.6))
    done = invoke(
        *("--bundle", tiny_bundle, "--backend", "triton", "--url", peer.url),
        *("--source", write_video(tmp_path / "a.mp4", frames=40), "--stabilise"),
        *("--out", tmp_path / "out", "--json", tmp_path / "run.json"),
    )
    thread.join()
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "run.json").read_text())
    assert (told["frames"], told["outages"], told["lost"]) == (40, 1, 0)
    assert [line["index"] for line in lines(tmp_path / "out" / "frames.jsonl")] == list(range(40))


def test_each_of_several_sources_goes_on(tiny_bundle: Path, peer: TritonPeer, tmp_path: Path) -> None:
    thread = after(peer, OPENING + 20, lambda: peer.away(0.6))
    clips = [write_video(tmp_path / f"{name}.mp4", frames=40) for name in "ab"]
    done = invoke(
        *("--bundle", tiny_bundle, "--backend", "triton", "--url", peer.url),
        *("--source", clips[0], "--source", clips[1], "--source", "synthetic:60"),
        *("--out", tmp_path / "out", "--json", tmp_path / "run.json"),
    )
    thread.join()
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "run.json").read_text())["sources"]
    assert [told[name]["frames"] for name in ("1-a", "2-b")] == [40, 40]
    assert [entry["outages"] for entry in told.values()] == [1, 1, 1]
    assert told["3-synthetic-60"]["lost"] > 0


def test_a_run_that_waits_for_a_server_can_be_ended(
    tiny_bundle: Path, peer: TritonPeer, tmp_path: Path
) -> None:
    def end() -> None:
        peer.stop()
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = after(peer, OPENING + 15, end)
    began = time.monotonic()
    done = invoke(
        *("--bundle", tiny_bundle, "--backend", "triton", "--url", peer.url),
        *("--source", write_video(tmp_path / "a.mp4", frames=400)),
        *("--out", tmp_path / "out", "--json", tmp_path / "run.json"),
    )
    thread.join()
    assert done.exit_code == 130, done.output
    assert time.monotonic() - began < 20
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["interrupted"]
    assert 10 <= told["frames"] == len(lines(tmp_path / "out" / "frames.jsonl")) < 400


def test_another_network_on_the_server_that_is_back_ends_the_run(
    tiny_bundle: Path, peer: TritonPeer, tmp_path: Path
) -> None:
    def exchange() -> None:
        peer.stop()
        peer.facts["parameters"]["fp32_sha256"] = "0" * 64
        peer.start()

    thread = after(peer, OPENING + 15, exchange)
    done = invoke(
        *("--bundle", tiny_bundle, "--backend", "triton", "--url", peer.url),
        *("--source", write_video(tmp_path / "a.mp4", frames=400), "--out", tmp_path / "out"),
    )
    thread.join()
    assert done.exit_code == 2
    assert "was not made from this bundle" in done.output
    assert 10 <= len(lines(tmp_path / "out" / "frames.jsonl")) < 400


def test_no_server_at_the_start_leaves_nothing_written(
    tiny_bundle: Path, peer: TritonPeer, tmp_path: Path
) -> None:
    peer.stop()
    done = invoke(
        *("--bundle", tiny_bundle, "--backend", "triton", "--url", peer.url),
        *("--source", write_video(tmp_path / "a.mp4"), "--out", tmp_path / "out"),
    )
    assert done.exit_code == 2
    assert "no Triton server answers" in done.output
    assert not (tmp_path / "out").exists()
