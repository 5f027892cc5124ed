"""Whole runs on a few synthetic frames: they learn, resume exactly, and fail with a sentence."""

from __future__ import annotations

import csv
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from microaunet import checkpoint
from microaunet.commands import train as command
from microaunet.training import state, teachers
from microaunet.training.run import LOCK
from microaunet_runtime import console, files
from microaunet_runtime.images import synthetic

PATIENCE_S = 400  # a busy machine needs a minute to import PyTorch
SMALL = {
    "size": 64,
    "stored_size": 64,
    "resolutions": "[[0.0, 32], [0.5, 64]]",
    "epochs": 4,
    "batch": 6,
    "validate_every": 2,
    "ema_decay": 0.5,
    "distillation": "null",
}


def options(data: Path, out: Path, **changes: object) -> list[str]:
    sets = [part for key, value in (SMALL | changes).items() for part in ("--set", f"{key}={value}")]
    return ["--data", str(data), "--out", str(out), "--cache", str(data / "cache"), "--device", "cpu", *sets]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(console.command_app(command.train), arguments)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "curves.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_a_run_writes_weights_that_load_and_curves(synthetic_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(*options(synthetic_set, out), "--json", str(tmp_path / "results.json"))
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "results.json").read_text())
    loaded = checkpoint.load(results["weights"])
    assert loaded.sha256 == results["sha256"]
    assert loaded.size == (64, 64)
    assert loaded.card["data"]["train_frames"] == 18
    assert loaded.card["figures"]["validation"]["dice_image"] == results["dice_image"]
    assert [row["size"] for row in rows(out)] == ["32", "32", "64", "64"]
    assert [bool(row["dice_image"]) for row in rows(out)] == [False, True, False, True]
    assert (out / "curves.png").stat().st_size > 1000


def test_training_lowers_the_loss(synthetic_set: Path, tmp_path: Path) -> None:
    course = {"epochs": 20, "validate_every": 20, "resolutions": "[[0.0, 64]]", "learning_rate": 0.01}
    result = run(*options(synthetic_set, tmp_path / "run", **course, **{"augmentation.affine": 0}))
    assert result.exit_code == 0, result.output
    losses = [float(row["loss"]) for row in rows(tmp_path / "run")]
    assert losses[-1] < 0.75 * losses[0]


def interrupt(row: dict[str, Any]) -> None:
    """Ctrl-C right after the second epoch."""
    if row["epoch"] == 2:
        raise KeyboardInterrupt


def test_a_resumed_run_equals_an_uninterrupted_one(
    synthetic_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert run(*options(synthetic_set, whole)).exit_code == 0
    with monkeypatch.context() as patch:
        patch.setattr(command, "print_row", interrupt)
        stopped = run(*options(synthetic_set, halves))
    assert (stopped.exit_code, "--resume" in stopped.output) == (130, True)
    assert not (halves / "weights.safetensors").exists()
    result = run(*options(synthetic_set, halves), "--resume")
    assert result.exit_code == 0, result.output
    assert [without_time(row) for row in rows(halves)] == [without_time(row) for row in rows(whole)]
    first, second = (
        checkpoint.load(out / "weights.safetensors").model.state_dict() for out in (whole, halves)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def without_time(row: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in row.items() if key != "seconds"}


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_leaves_a_state_that_loads(synthetic_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [sys.executable, "-m", "microaunet.commands.train"]
    process = subprocess.Popen(
        [*arguments, *options(synthetic_set, out, epochs=1000)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + PATIENCE_S
    while not (out / state.FILE).exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "--resume" in errors
    assert torch.load(out / state.FILE, weights_only=True)["rows"]


def test_a_trained_network_teaches_a_student(
    synthetic_set: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = tmp_path / "teacher"
    assert run(*options(synthetic_set, teacher)).exit_code == 0
    monkeypatch.setattr(teachers, "LEAST_DICE", 0.0)  # no network becomes good within the seconds of a test
    taught = {"distillation.teachers": [str(teacher / "weights.safetensors")], "distillation.flips": "true"}
    result = run(*options(synthetic_set, tmp_path / "student", **taught))
    assert result.exit_code == 0, result.output
    assert "teachers: validation dice_image" in result.output
    assert all(float(row["imitation"]) > 0 for row in rows(tmp_path / "student"))
    student = checkpoint.load(tmp_path / "student/weights.safetensors")
    assert not [name for name in student.model.state_dict() if "projection" in name or "embedding" in name]
    halves = run(*options(synthetic_set, tmp_path / "halves", **taught), "--precision", "bf16-mixed")
    assert halves.exit_code == 0, halves.output
    # Another teacher under the same name: the rest of the run would be another run's.
    assert run(*options(synthetic_set, tmp_path / "teacher-2", seed=1)).exit_code == 0
    for suffix in (".safetensors", ".json"):
        (tmp_path / "teacher-2/weights").with_suffix(suffix).replace(
            (teacher / "weights").with_suffix(suffix)
        )
    again = run(*options(synthetic_set, tmp_path / "student", **taught), "--resume")
    assert (again.exit_code, "started with other teachers" in again.output) == (2, True)


@pytest.mark.parametrize(("warm_up", "epochs"), [(0.5, 1), (0.2, 4), (0.1, 9), (0.9, 1)])
def test_the_shortest_runs_end(synthetic_set: Path, tmp_path: Path, warm_up: float, epochs: int) -> None:
    short = options(synthetic_set, tmp_path / "run", warm_up=warm_up, epochs=epochs, batch=18)
    result = run(*short)
    assert result.exit_code == 0, result.output


def test_a_full_disk_is_one_sentence(synthetic_set: Path, tmp_path: Path, small_disk: Path) -> None:
    """When frames are decoded, and when the state is written."""
    (small_disk / "filler").write_bytes(bytes(3_900_000))
    for place in ("cache", "out"):
        out = small_disk / "run" if place == "out" else tmp_path / "run"
        arguments = options(synthetic_set, out, stored_size=512 if place == "cache" else 64)
        if place == "cache":
            arguments[arguments.index("--cache") + 1] = str(small_disk)
        result = run(*arguments)
        assert (result.exit_code, "no space left" in result.output) == (2, True), result.output
        assert not [path for path in small_disk.rglob("*") if path.suffix in (".npy", ".ckpt")]


@pytest.mark.slow
def test_two_processes_train_as_one(synthetic_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = [sys.executable, "-m", "microaunet.commands.train", *options(synthetic_set, out)]
    finished = subprocess.run(
        [*arguments, "--devices", "2"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.count("weights: ") == 1  # the second process stays silent
    assert [row["epoch"] for row in rows(out)] == ["1", "2", "3", "4"]
    assert all(math.isfinite(float(row["loss"])) for row in rows(out))
    checkpoint.load(out / "weights.safetensors")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"learning_rate": 1e11, "gradient_clip": 0}, "not finite"),
        ({"batch": 64}, "fewer than a batch"),
        ({"architecture": "nosuch"}, "nosuch"),
        ({"distillation.teachers": "[nosuch]"}, "nosuch"),
    ],
)
def test_what_cannot_train_is_one_sentence(
    synthetic_set: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    result = run(*options(synthetic_set, tmp_path / "run", **changes))
    assert result.exit_code == 2
    assert said in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "run/weights.safetensors").exists()


def test_a_run_is_neither_overwritten_nor_resumed_with_another_recipe(
    synthetic_set: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert run(*options(synthetic_set, out, epochs=1)).exit_code == 0
    again = run(*options(synthetic_set, out, epochs=1))
    assert (again.exit_code, "--resume" in again.output) == (2, True)
    (out / state.FILE).rename(tmp_path / "kept.ckpt")
    again = run(*options(synthetic_set, out, epochs=1))
    assert (again.exit_code, "holds weights already" in again.output) == (2, True)
    (tmp_path / "kept.ckpt").rename(out / state.FILE)
    with files.locked(out / LOCK, "taken"):
        busy = run(*options(synthetic_set, out, epochs=1), "--resume")
    assert (busy.exit_code, "another training writes to" in busy.output) == (2, True)
    other = run(*options(synthetic_set, out, epochs=2), "--resume")
    assert (other.exit_code, "epochs" in other.output) == (2, True)
    (out / state.FILE).write_bytes((out / state.FILE).read_bytes()[:500])
    damaged = run(*options(synthetic_set, out, epochs=1), "--resume")
    assert (damaged.exit_code, "damaged" in damaged.output) == (2, True)


def test_there_must_be_something_to_resume(synthetic_set: Path, tmp_path: Path) -> None:
    result = run(*options(synthetic_set, tmp_path / "run"), "--resume")
    assert (result.exit_code, state.FILE in result.output) == (2, True)


def test_a_state_with_pickled_objects_is_refused(synthetic_set: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    torch.save({"version": state.VERSION, "recipe": Path("x")}, out / state.FILE)
    result = run(*options(synthetic_set, out), "--resume")
    assert (result.exit_code, "damaged" in result.output) == (2, True)


def test_a_run_learns_from_frames_without_masks_and_without_polyps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "LEAST_DICE", 0.0)  # a few epochs make no teacher
    root = tmp_path / "root"
    synthetic.write_set(root / "train", 20, height=64, width=64)
    synthetic.write_set(root / "more", 8, height=64, width=64, seed=1)
    shutil.rmtree(root / "more/masks")
    synthetic.write_set(root / "free", 8, height=64, width=64, seed=2)
    teacher = tmp_path / "teacher"
    assert run(*options(root, teacher, architecture="edge-presence", epochs=2)).exit_code == 0
    groups = {
        "architecture": "edge-presence",
        "loss.presence": 0.2,
        "unlabelled": "[more]",
        "polyp_free": "[free]",
        "polyp_free_validation": "[free]",
        "distillation": f"{{teachers: [{teacher / 'weights.safetensors'}], cached: true, features: 0}}",
    }
    refused = run(*options(root, tmp_path / "refused", **groups))
    assert refused.exit_code == 2
    assert "training and validation" in " ".join(refused.output.split())
    groups["polyp_free_validation"] = "[]"
    result = run(*options(root, tmp_path / "run", **groups))
    assert result.exit_code == 0, result.output
    card = checkpoint.load(tmp_path / "run/weights.safetensors").card
    assert (card["data"]["unlabelled_frames"], card["data"]["polyp_free_frames"]) == (8, 8)
    assert float(rows(tmp_path / "run")[-1]["presence"]) > 0


FOREIGN = "foreign_networks:SmallUNet"


def test_a_network_from_elsewhere_trains_and_goes_on(synthetic_set: Path, tmp_path: Path) -> None:
    first = run(*options(synthetic_set, tmp_path / "first", architecture=FOREIGN, epochs=1, validate_every=1))
    assert first.exit_code == 0, first.output
    weights = tmp_path / "first" / "weights.safetensors"
    assert isinstance(checkpoint.load(weights, FOREIGN).model, torch.nn.Module)
    again = options(synthetic_set, tmp_path / "again", architecture=FOREIGN, initial=weights, epochs=1)
    assert run(*again).exit_code == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "foreign_networks:TwoClasses"}, "one class"),
        ({"architecture": "nowhere_at_all:unet"}, "cannot be imported"),
        ({"architecture": FOREIGN, "distillation": "{teachers: [kvasir-lite]}"}, "no stage features"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_by_name(
    synthetic_set: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    result = run(*options(synthetic_set, tmp_path / "run", **changes))
    assert result.exit_code == 2
    assert changes["architecture"] in result.output.replace("\n", "")
    assert message in " ".join(result.output.split())


def test_weights_are_fine_tuned_for_int8(synthetic_set: Path, tmp_path: Path) -> None:
    first, tuned, again = tmp_path / "first", tmp_path / "tuned", tmp_path / "again"
    assert run(*options(synthetic_set, first, epochs=2)).exit_code == 0
    weights = first / "weights.safetensors"
    course = {"int8": "true", "initial": weights, "epochs": 1, "learning_rate": 1e-4, "validate_every": 1}
    course |= {"loss.agreement": 1, "int8_in_float": "[stages.0.0.pointwise.0]"}
    for out in (tuned, again):
        result = run(*options(synthetic_set, out, **course))
        assert result.exit_code == 0, result.output
    assert (tuned / "weights.safetensors").read_bytes() == (again / "weights.safetensors").read_bytes()
    loaded, before = checkpoint.load(tuned / "weights.safetensors"), checkpoint.load(weights)
    ranges = loaded.card["int8"]["ranges"]
    assert ranges["stem.0"][1] == pytest.approx(1, abs=0.2), "frames are in 0..1"
    assert {"stages.3.2.depthwise.0", "laterals.0.0", "head"} < set(ranges)
    in_float = {"attention.space", "attention.channels", "stages.0.0.pointwise.0"}
    assert not in_float & set(ranges)
    assert in_float < set(loaded.card["int8"]["in_float"])
    assert {"agreement", "disagreement"} < set((tuned / "curves.csv").read_text().splitlines()[0].split(","))
    change = loaded.model.head.weight - before.model.head.weight
    assert 0 < change.abs().max() < 0.01


@pytest.mark.parametrize("changes", [{"initial": "null"}, {"initial": "joint", "precision": "bf16-mixed"}])
def test_int8_fine_tunes_weights_in_full_precision(
    synthetic_set: Path, tmp_path: Path, changes: dict[str, str]
) -> None:
    result = run(*options(synthetic_set, tmp_path, int8="true", **changes))
    assert (result.exit_code, "int8 fine-tunes weights" in result.output) == (2, True)
