"""``microaunet-export`` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_network import LENIENT, SIZE, write_weights
from typer.testing import CliRunner, Result

from microaunet_export import exporting
from microaunet_export.commands.export import app
from microaunet_export.golden_frames import FRAMES
from microaunet_export.verify import Gates, failures
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.manifest import PRECISIONS
from microaunet_runtime.images import synthetic
from microaunet_runtime.inference.session import open_session

TOLERANCES = Gates().tolerances(PRECISIONS)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_bundle_is_complete_and_runs(bundle_folder: Path) -> None:
    bundle = Bundle(bundle_folder)
    bundle.check()
    assert list(bundle.manifest.artefacts) == ["fp32", "fp16", "int8", "int8-fp16"]
    assert {name: entry.opset for name, entry in bundle.manifest.artefacts.items()} == {
        "fp32": 17,
        "fp16": 17,
        "int8": 17,
        "int8-fp16": 19,
    }
    for precision in bundle.manifest.artefacts:
        with open_session(bundle, backend="onnxruntime", precision=precision) as session:
            assert session.run(synthetic.frame(0, 90, 120)[0]).mask.shape == (90, 120)


def test_the_manifest_says_how_it_was_calibrated_and_how_well_it_agrees(bundle_folder: Path) -> None:
    manifest = Bundle(bundle_folder).manifest
    assert manifest.calibration is not None
    assert "small.ranges.json" in manifest.calibration["source"]
    assert manifest.calibration["images"] == 12
    assert manifest.presence == manifest.stabilised_presence == 0.25  # as the weights' card says
    assert set(manifest.calibration["methods"]) == {"minmax", "percentile", "entropy", "error"}
    assert manifest.tolerances["int8"].dice_image_change == 0.01
    assert manifest.verification["fp32"]["golden"]["max_abs_difference"] <= 1e-4
    assert manifest.verification["int8"]["golden"]["frames"] == FRAMES
    share = manifest.artefacts["int8"].facts["quantised"]
    left = len(manifest.calibration["in_float"])
    assert 0 < share["convolutions_int8"] <= share["convolutions"] - left
    assert share["macs_percent"] >= 90
    launches = {name: entry.facts["cost"]["launches"] for name, entry in manifest.artefacts.items()}
    assert launches["fp16"] < launches["int8"] <= launches["fp16"] + 4
    stops = {stop["at"] for stop in manifest.artefacts["int8"].facts["fusion_stops"]}
    assert stops & {f"fusion.{index}/Add" for index in range(3)}, "sums of resized maps stay in float"


def test_golden_frames_carry_the_reference(bundle_folder: Path) -> None:
    golden = Bundle(bundle_folder).golden()
    assert golden.frames.shape == (FRAMES, SIZE, SIZE, 3)
    with open_session(bundle_folder, backend="onnxruntime") as session:
        for frame, expected in zip(golden.frames, golden.probability, strict=True):
            assert np.abs(session.run(frame).probability - expected[0]).max() <= 1e-4
        found = [session.run(frame).presence for frame in golden.frames]
    np.testing.assert_allclose(found, golden.presence, atol=1e-4)


def test_the_report_shows_figures_and_pictures_and_is_self_contained(bundle_folder: Path) -> None:
    html = (bundle_folder / "report.html").read_text()
    assert html.count("data:image/jpeg;base64,") == 5 * FRAMES
    assert "http" not in html.replace("http-equiv", "")
    for text in (
        "not a medical device",
        "What was quantised",
        "convolutions in INT8",
        "mask agreement",
        "ground truth",
    ):
        assert text in html
    facts = json.loads((bundle_folder / "report.json").read_text())
    assert facts["passed"] is True
    assert {"p50", "p90", "p95", "p99", "max"} <= set(facts["artefacts"]["int8"]["latency_ms"])
    assert str(bundle_folder.parent) not in html


def test_the_same_inputs_give_the_same_bytes(bundle_folder: Path, calibrated: Path, tmp_path: Path) -> None:
    result = invoke("--weights", calibrated, "--int8", *LENIENT, "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    for name in ("fp32.onnx", "fp16.onnx", "int8.onnx", "int8-fp16.onnx", "golden.npz", "manifest.json"):
        assert (bundle_folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


@pytest.mark.slow
def test_calibrating_on_images_gives_what_the_ranges_of_the_same_images_give(
    bundle_folder: Path, weights: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    result = invoke("--weights", weights, "--int8", "--calib", images, *LENIENT, "--out", out)
    assert result.exit_code == 0, result.output
    assert "12 calibration images are few" in result.output
    for name in ("int8.onnx", "int8-fp16.onnx"):
        assert (bundle_folder / name).read_bytes() == (out / name).read_bytes()
    calibration = Bundle(out).manifest.calibration
    assert calibration is not None
    assert calibration["source"] == "images"


def test_without_images_only_the_ranges_of_the_same_weights_serve(calibrated: Path, tmp_path: Path) -> None:
    mine, ranges = write_weights(tmp_path / "mine.safetensors", seed=9), tmp_path / "mine.ranges.json"
    none = invoke("--weights", mine, "--int8", "--out", tmp_path / "bundle")
    assert (none.exit_code, "give --calib" in none.output) == (2, True)
    shutil.copy(calibrated.with_suffix(".ranges.json"), ranges)
    other = invoke("--weights", mine, "--int8", "--out", tmp_path / "bundle")
    assert (other.exit_code, "other weights" in other.output) == (2, True)
    assert not (tmp_path / "bundle").exists()


def test_a_failed_gate_is_exit_code_3_and_the_bundle_says_so(weights: Path, tmp_path: Path) -> None:
    out, record = tmp_path / "bundle", tmp_path / "result.json"
    result = invoke("--weights", weights, "--out", out, "--fp32-max-difference", 1e-12, "--json", record)
    assert result.exit_code == 3
    assert "more than 1e-12" in result.output
    manifest = Bundle(out).manifest
    assert manifest.verification["fp32"]["passed"] is False
    assert "a gate failed" in (out / "report.html").read_text()
    assert json.loads(record.read_text())["passed"] is False


@pytest.mark.parametrize(("change", "failed"), [(-0.02, 1), (-0.009, 0), (0.009, 0), (0.02, 1), (np.nan, 1)])
def test_int8_may_neither_lose_nor_gain_dice(change: float, failed: int) -> None:
    figures = {
        "mask_agreement": {"mean": 0.98},
        "max_abs_difference": 0.3,
        "presence_difference": 0.0,
        "dice_image_change": {"mean": change},
    }
    assert len(failures(TOLERANCES["int8"], figures)) == failed
    assert len(failures(TOLERANCES["int8-fp16"], figures)) == failed


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.995), ("int8", 0.97), ("int8-fp16", 0.97)])
def test_mask_agreement_is_gated(precision: str, least: float) -> None:
    for mean, failed in ((least, 0), (least - 1e-4, 1)):
        assert len(failures(TOLERANCES[precision], agreeing(mean, 0.0))) == failed


@pytest.mark.parametrize("precision", ["fp16", "int8", "int8-fp16"])
def test_presence_is_gated(precision: str) -> None:
    most = TOLERANCES[precision].presence_difference
    assert not failures(TOLERANCES[precision], agreeing(1.0, most))
    for difference in (most + 1e-4, np.nan):
        assert "presence" in failures(TOLERANCES[precision], agreeing(1.0, difference))[0]


def agreeing(masks: float, presence_difference: float) -> dict[str, Any]:
    """Figures of a verification."""
    return {
        "mask_agreement": {"mean": masks},
        "max_abs_difference": 0.3,
        "presence_difference": presence_difference,
    }


def test_data_gives_the_paired_change_and_pictures_outside_the_bundle(weights: Path, tmp_path: Path) -> None:
    synthetic.write_set(tmp_path / "data", 5, seed=40, height=80, width=100)
    out, pictures = tmp_path / "bundle", tmp_path / "pictures"
    result = invoke(
        *("--weights", weights, "--data", tmp_path / "data", *LENIENT),
        *("--out", out, "--report", pictures),
    )
    assert result.exit_code == 0, result.output
    figures = Bundle(out).manifest.verification["fp16"]["data"]
    assert figures["frames"] == 5
    assert {"mean", "low", "high", "worst", "worst_frame"} == set(figures["dice_image_change"])
    assert abs(figures["dice_image"]["mean"] - figures["dice_image_reference"]["mean"]) < 0.05
    assert "synthetic-0000" in (pictures / "report.html").read_text()
    assert "synthetic-0000" not in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--calib", "anywhere"), "--int8"),
        (("--report", "anywhere"), "--data"),
        (("--threshold", "1.5"), "not between 0 and 1"),
        (("--size", "300"), "multiples of 32, not 300 x 300: give --size 288x288 or --size 320x320"),
        (("--size", "64x130"), "give --size 64x128 or --size 64x160"),
        (("--size", "300", "--int8"), "give --size 288x288 or --size 320x320"),
        (("--data", "nowhere"), "nowhere"),
        (("--int8", "--calib", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    weights: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = invoke("--weights", weights, "--out", tmp_path / "out" / "bundle", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert not list(tmp_path.glob("out/*"))


def test_real_pictures_may_not_go_into_the_bundle(weights: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    result = invoke("--weights", weights, "--data", images, "--out", out, "--report", out / "pictures")
    assert (result.exit_code, "never enter a bundle" in result.output) == (2, True)


def test_a_folder_that_is_no_bundle_is_not_overwritten(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("keep")
    result = invoke("--weights", weights, "--out", tmp_path)
    assert (result.exit_code, "not a bundle" in result.output) == (2, True)
    assert (tmp_path / "precious.txt").read_text() == "keep"
    (tmp_path / "manifest.json").write_text('{"manifest_version": 3, "name": "of a browser extension"}')
    result = invoke("--weights", weights, "--out", tmp_path)
    assert (result.exit_code, "not a bundle" in result.output) == (2, True)


@pytest.mark.parametrize("stranger", ["notes.txt", "results"])
def test_a_bundle_with_other_files_beside_its_own_is_not_replaced(
    bundle_folder: Path, weights: Path, tmp_path: Path, stranger: str
) -> None:
    out = tmp_path / "bundle"
    shutil.copytree(bundle_folder, out)
    (out / "engines").mkdir(exist_ok=True)
    exporting.check_target(out)
    (out / stranger).mkdir() if stranger == "results" else (out / stranger).write_text("keep")
    result = invoke("--weights", weights, "--out", out)
    assert result.exit_code == 2
    assert f"also holds {stranger}, which no export wrote" in " ".join(result.output.split())
    assert (out / stranger).exists()


def test_the_current_folder_and_a_mount_point_are_refused_before_anything_is_made(
    weights: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = invoke("--weights", weights, "--out", small_disk)
    assert (result.exit_code, "is a mount point" in result.output) == (2, True)
    (small_disk / "inside").mkdir()
    monkeypatch.chdir(small_disk / "inside")
    for name in (".", small_disk / "inside"):
        result = invoke("--weights", weights, "--out", name)
        assert (result.exit_code, "is the current folder" in result.output) == (2, True)
    assert [path.name for path in small_disk.iterdir()] == ["inside"]


def test_an_interrupted_export_leaves_the_old_bundle_and_nothing_else(
    bundle_folder: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bundle"
    shutil.copytree(bundle_folder, out)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(exporting, "_verify", interrupt)
    result = invoke("--weights", weights, "--out", out)
    assert result.exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
    Bundle(out).check()
