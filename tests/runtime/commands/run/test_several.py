"""Several sources in one ``microaunet-run``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from results import names
from running import invoke
from videos import play, write_video

pytest.importorskip("onnxruntime")


def test_each_source_has_results_of_its_own(tiny_bundle: Path, tmp_path: Path) -> None:
    clips = [write_video(tmp_path / f"{name}.mp4", frames=frames) for name, frames in (("a", 12), ("b", 7))]
    done = invoke(
        *("--bundle", tiny_bundle, "--source", clips[0], "--source", clips[1], "--source", "synthetic:5"),
        *("--out", tmp_path / "out", "--json", tmp_path / "run.json"),
    )
    assert done.exit_code == 0, done.output
    assert names(tmp_path / "out") == ["1-a", "2-b", "3-synthetic-5"]
    assert len(play(tmp_path / "out" / "1-a" / "overlay.mp4")) == 12
    assert len(play(tmp_path / "out" / "2-b" / "overlay.mp4")) == 7
    (live,) = (tmp_path / "out" / "3-synthetic-5").iterdir()
    assert (live / "frames.jsonl").exists()
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["sources"]["1-a"]["frames"] == 12
    assert told["sources"]["2-b"]["source"] == str(clips[1])


def test_one_that_fails_ends_none_of_the_others(tiny_bundle: Path, tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", frames=40)
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    done = invoke(
        *("--bundle", tiny_bundle, "--source", cut, "--source", whole, "--out", tmp_path / "out"),
    )
    assert done.exit_code == 2
    assert "cut.avi" in done.output
    assert len(play(tmp_path / "out" / "2-whole" / "overlay.mp4")) == 40


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--source", "missing.mp4"], "missing.mp4 does not exist"),
        (["--source", "synthetic:2", "--serve", "0"], "--serve shows one source"),
        (["--source", "synthetic:2", "--show"], "--show shows one source"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    more: list[str], says: str, tiny_bundle: Path, tmp_path: Path
) -> None:
    done = invoke(
        *("--bundle", tiny_bundle, "--source", write_video(tmp_path / "a.mp4")),
        *(*more, "--out", tmp_path / "out"),
    )
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()
