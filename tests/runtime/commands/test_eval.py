"""The command: what it prints and writes for a bundle and for weights, and how it refuses bad input."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_graphs import failing_graph, give
from typer.testing import CliRunner

from microaunet_runtime.commands.eval import app
from microaunet_runtime.images import write_image
from microaunet_runtime.inference.pytorch import PyTorchBackend


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A root with a val set: a red polyp that the tiny bundle finds, and one that it cannot see."""
    folder = tmp_path / "data" / "val"
    for stem, colour in (("found", (220, 20, 20)), ("missed", (20, 20, 220))):
        image, mask = np.full((64, 96, 3), 120, np.uint8), np.zeros((64, 96), np.uint8)
        image[10:40, 20:60] = colour
        mask[10:40, 20:60] = 1
        write_image(folder / "images" / f"{stem}.png", image)
        write_image(folder / "masks" / f"{stem}.png", mask)
    return tmp_path / "data"


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_bundle_is_scored_and_everything_asked_for_is_written(
    tiny_bundle: Path, data: Path, tmp_path: Path
) -> None:
    folder, facts = tmp_path / "out", tmp_path / "facts.json"
    code, said, problem = run("--bundle", tiny_bundle, "--data", data, "--out", folder, "--json", facts)
    assert code == 0, problem
    assert "not a medical device" in said
    assert "0.5000" in said
    results = json.loads(facts.read_text())
    assert results == json.loads((folder / "summary.json").read_text())
    assert results["dice_image"]["mean"] == pytest.approx(0.5)
    assert results["polyp_sensitivity"]["mean"] == 0.5
    assert results["model"] == {"bundle": str(tiny_bundle), "backend": "onnxruntime", "precision": "fp32"}
    assert results["images"] == 2
    with (folder / "per_image.csv").open() as stream:
        assert {row["stem"]: float(row["dice"]) for row in csv.DictReader(stream)} == {
            "found": 1,
            "missed": 0,
        }
    assert sorted(path.name for path in folder.iterdir()) == ["per_image.csv", "summary.json", "worst.png"]


def test_a_threshold_replaces_the_bundles(tiny_bundle: Path, data: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    code, _, problem = run("--bundle", tiny_bundle, "--data", data, "--threshold", "1e-9", "--json", facts)
    assert code == 0, problem
    results = json.loads(facts.read_text())
    assert results["threshold"] == 1e-9
    assert results["recall"]["mean"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "exactly one of --weights and --bundle"),
        (["--weights", "w", "--bundle", "b"], "exactly one of --weights and --bundle"),
        (["--weights", "w", "--precision", "int8"], "weights run on PyTorch"),
        (["--bundle", "nowhere"], "nowhere is not a folder"),
        (["--bundle", "b", "--polyp-free", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_done_is_refused(data: Path, arguments: list[str], said: str) -> None:
    code, _, problem = run("--data", data, *arguments)
    assert code == 2
    assert said in problem


def test_a_missing_precision_and_a_bad_threshold_are_refused(tiny_bundle: Path, data: Path) -> None:
    assert run("--bundle", tiny_bundle, "--data", data, "--precision", "int8")[0] == 2
    assert run("--bundle", tiny_bundle, "--data", data, "--threshold", "1.5")[0] == 2


def test_a_broken_image_stops_the_run_and_leaves_nothing(
    tiny_bundle: Path, data: Path, tmp_path: Path
) -> None:
    broken = data / "val" / "images" / "found.png"
    broken.write_bytes(broken.read_bytes()[:-20])
    code, _, problem = run("--bundle", tiny_bundle, "--data", data, "--out", tmp_path / "out")
    assert code == 2
    assert "found.png is cut short" in problem
    assert not (tmp_path / "out").exists()


def test_a_graph_that_fails_on_an_image_is_one_sentence(tiny_bundle: Path, data: Path) -> None:
    give(tiny_bundle, failing_graph)
    code, _, problem = run("--bundle", tiny_bundle, "--data", data)
    assert code == 1
    assert problem.startswith("error: ONNX Runtime failed on")


def test_no_set_is_an_error_that_says_what_was_expected(tiny_bundle: Path, tmp_path: Path) -> None:
    code, _, problem = run("--bundle", tiny_bundle, "--data", tmp_path)
    assert code == 2
    assert "expected images/ and masks/" in problem


def test_scoring_a_bundle_needs_no_torch(tiny_bundle: Path, data: Path) -> None:
    program = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['onnx'] = None\n"
        "from microaunet_runtime.commands.eval import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--bundle", str(tiny_bundle), "--data", str(data)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "1 of 2" in done.stdout


def test_weights_are_scored_by_the_same_code(data: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="the PyTorch reference needs microaunet[train]")
    checkpoint = pytest.importorskip("microaunet.checkpoint", reason="needs microaunet[train]")
    from microaunet.models import create

    torch.manual_seed(0)
    checkpoint.save(tmp_path / "w.safetensors", create("paper"), "paper", {})
    facts = tmp_path / "facts.json"
    code, _, problem = run("--weights", tmp_path / "w.safetensors", "--data", data, "--json", facts)
    assert code == 0, problem
    results = json.loads(facts.read_text())
    assert (results["model"]["backend"], results["images"]) == ("pytorch", 2)
    assert 0 <= results["dice_image"]["mean"] <= 1


def test_the_reference_scales_by_255_and_cuts_at_the_threshold() -> None:
    pytest.importorskip("torch", reason="the PyTorch reference needs microaunet[train]")

    def red(x: Any) -> Any:
        logits = x[:, :1] * 4 - 2
        return logits, logits.amax((1, 2, 3))

    frame = np.zeros((1, 2, 2, 3), np.uint8)
    frame[0, 0, 0] = (255, 0, 0)
    frame[0, 1, 1] = (0, 255, 255)
    probability, mask, presence = PyTorchBackend(red, threshold=0.5).infer(frame)
    high, low = 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))
    np.testing.assert_allclose(probability[0, 0], [[high, low], [low, low]], rtol=1e-6)
    assert mask[0, 0].tolist() == [[1, 0], [0, 0]]
    np.testing.assert_allclose(presence, [high], rtol=1e-6)
    assert (probability.dtype, mask.dtype, presence.dtype) == (np.float32, np.uint8, np.float32)


def test_something_to_score_must_be_given(tiny_bundle: Path) -> None:
    code, _, problem = run("--bundle", tiny_bundle)
    assert (code, "give --data, --polyp-free, or both" in problem) == (2, True)


def test_polyp_free_frames_alone_and_beside_polyps(tiny_bundle: Path, data: Path, tmp_path: Path) -> None:
    free, facts = tmp_path / "free", tmp_path / "facts.json"
    for stem, shade in (("quiet", (120, 120, 120)), ("loud", (220, 20, 20))):
        write_image(free / f"{stem}.png", np.full((64, 96, 3), shade, np.uint8))
    code, said, problem = run("--bundle", tiny_bundle, "--polyp-free", free, "--json", facts)
    assert code == 0, problem
    assert "polyp-free frames clean, 1 of 2" in said
    alone = json.loads(facts.read_text())
    assert set(alone["presence"]) == {"operating_point", "polyp_free"}
    assert alone["presence"]["polyp_free"]["area"]["mean"] == 0.5
    code, said, problem = run(
        *("--bundle", tiny_bundle, "--data", data, "--polyp-free", free, "--presence", 0, "--json", facts)
    )
    assert code == 0, problem
    both = json.loads(facts.read_text())
    assert both["images"] == 2
    assert both["presence"]["operating_point"] == 0
    assert (both["presence"]["polyps"]["found"], both["presence"]["polyp_free"]["clean"]) == (1, 1)
    assert 0 < both["presence"]["auc"] < 1
    assert both["presence"]["curve"]


@pytest.fixture
def boxes(data: Path) -> Path:
    """The same images with Kvasir-SEG's file of boxes instead of masks."""
    shutil.rmtree(data / "val" / "masks")
    box = {"label": "polyp", "xmin": 20, "ymin": 10, "xmax": 60, "ymax": 40}
    entry = {"height": 64, "width": 96, "bbox": [box]}
    path = data / "val" / "kavsir_bboxes.json"
    path.write_text(json.dumps({"found": entry, "missed": entry}))
    return path


def test_boxes_are_scored_and_masks_are_not(tiny_bundle: Path, boxes: Path, tmp_path: Path) -> None:
    folder, facts = tmp_path / "out", tmp_path / "facts.json"
    for given in (boxes, boxes.parent, boxes.parent.parent):
        code, said, problem = run("--bundle", tiny_bundle, "--data", given, "--out", folder, "--json", facts)
        assert code == 0, problem
        assert "recall, 1 of 2 polyps" in said
        results = json.loads(facts.read_text())
        assert results["images"] == 2
        figures = results["boxes"]
        assert (figures["precision"]["mean"], figures["recall"]["mean"], figures["ap50"]) == (1, 0.5, 0.5)
        assert figures["f1"]["mean"] == pytest.approx(2 / 3)
        assert not {"dice_image", "miou", "polyp_sensitivity"} & set(results)
    assert sorted(path.name for path in folder.iterdir()) == ["per_image.csv", "summary.json"]


def test_below_the_operating_point_no_box_is_shown(tiny_bundle: Path, boxes: Path, tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    code, _, problem = run("--bundle", tiny_bundle, "--data", boxes, "--presence", 0.999999, "--json", facts)
    assert code == 0, problem
    figures = json.loads(facts.read_text())["boxes"]
    assert (figures["shown"], figures["recall"]["mean"], figures["precision"]["mean"]) == (0, 0, None)


def test_boxes_that_cannot_be_used_are_one_sentence(tiny_bundle: Path, boxes: Path, tmp_path: Path) -> None:
    arguments = ("--bundle", tiny_bundle, "--data", boxes, "--out", tmp_path / "out")
    code, _, problem = run(*arguments, "--pranet")
    assert (code, "--pranet scores masks" in problem) == (2, True)
    content = json.loads(boxes.read_text())
    content["found"]["height"] = 65
    boxes.write_text(json.dumps(content))
    code, _, problem = run(*arguments)
    assert (code, "its boxes were drawn on 96 x 65" in problem) == (2, True)
    boxes.write_text("{")
    code, _, problem = run(*arguments)
    assert (code, "not valid JSON" in problem) == (2, True)
    assert not (tmp_path / "out").exists()
