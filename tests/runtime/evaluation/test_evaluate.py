"""Evaluation: the summary of frames whose answers are known, its files, and what a broken network gives."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import Pair, find_pairs
from microaunet_runtime.evaluation.evaluate import Evaluation, evaluate
from microaunet_runtime.evaluation.worst import worst_picture
from microaunet_runtime.images import read_image, write_image
from microaunet_runtime.images.synthetic import write_set

HEIGHT, WIDTH = 40, 60


def red(frame: np.ndarray) -> np.ndarray:
    """A network that answers 0.9 to red pixels."""
    return np.where(frame[:, :, 0] > 200, 0.9, 0.1).astype(np.float32)


def add(folder: Path, stem: str, truth: tuple[slice, slice] | None, seen: tuple[slice, slice] | None) -> None:
    """A frame in which ``seen`` is red, and a mask in which ``truth`` is polyp."""
    image, mask = np.zeros((HEIGHT, WIDTH, 3), np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    if seen:
        image[(*seen, 0)] = 255
    if truth:
        mask[truth] = 1
    write_image(folder / "images" / f"{stem}.png", image)
    write_image(folder / "masks" / f"{stem}.png", mask)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    folder = tmp_path / "set"
    box = np.s_[0:10, 0:20]  # 200 of 2400 pixels: medium
    add(folder, "a-exact", box, box)
    add(folder, "b-half", box, np.s_[0:10, 10:30])
    add(folder, "c-missed", np.s_[0:30, 0:40], None)  # half the frame: large
    add(folder, "d-free", None, np.s_[0:2, 0:3])
    add(folder, "e-free", None, None)
    return find_pairs(folder)


def test_the_summary_of_known_answers(pairs: list[Pair]) -> None:
    summary = evaluate(red, pairs, 0.5, source="red").summary
    assert summary["images"] == 5
    assert summary["threshold"] == 0.5
    assert summary["source"] == "red"
    assert summary["dice_image"]["mean"] == pytest.approx((1 + 0.5 + 0 + 0 + 1) / 5)
    assert summary["miou"]["mean"] == pytest.approx((1 + 1 / 3 + 0 + 0 + 1) / 5)
    assert summary["precision"]["mean"] == pytest.approx((1 + 0.5 + 0 + 0 + 1) / 5)
    assert summary["recall"]["mean"] == pytest.approx((1 + 0.5 + 0 + 0 + 1) / 5)
    # tp 200 + 100, fp 100 + 6, fn 100 + 1200
    assert summary["dice_pooled"] == pytest.approx(600 / (600 + 106 + 1300))
    diagonal = math.hypot(HEIGHT, WIDTH)
    assert summary["hd95"]["mean"] == pytest.approx((0 + 10 + diagonal + diagonal + 0) / 5)
    assert summary["dice_by_size"]["medium"]["mean"] == pytest.approx(0.75)
    assert summary["dice_by_size"]["medium"]["count"] == 2
    assert summary["dice_by_size"]["large"] == {"mean": 0, "low": 0, "high": 0, "count": 1}
    assert summary["dice_by_size"]["small"] == {"mean": None, "low": None, "high": None, "count": 0}
    assert summary["polyp_sensitivity"]["mean"] == pytest.approx(2 / 3)
    assert (summary["polyp_sensitivity"]["found"], summary["polyp_sensitivity"]["count"]) == (2, 3)
    assert summary["false_positive_pixels"]["mean"] == 3
    assert summary["false_positive_pixels"]["count"] == 2
    json.dumps(summary, allow_nan=False)


def test_every_mean_lies_in_its_interval(pairs: list[Pair]) -> None:
    summary = evaluate(red, pairs, 0.5).summary
    for key in ("dice_image", "miou", "precision", "recall", "hd95", "polyp_sensitivity"):
        assert summary[key]["low"] <= summary[key]["mean"] <= summary[key]["high"]


def test_without_polyp_free_frames_there_is_no_false_positive_figure(pairs: list[Pair]) -> None:
    assert "false_positive_pixels" not in evaluate(red, pairs[:3], 0.5).summary


def test_the_threshold_is_exclusive_and_used(pairs: list[Pair]) -> None:
    assert evaluate(red, pairs[:1], float(np.float32(0.9))).rows[0].dice == 0
    assert evaluate(red, pairs[:1], 0.89).rows[0].dice == 1


def test_the_probability_is_resized_and_then_cut(tmp_path: Path) -> None:
    # columns of 0.3 and 1.0 become 8: linear between them, above 0.5 in the 5 from 3/8 of the way on
    mask = np.zeros((4, 8), np.uint8)
    write_image(tmp_path / "images" / "a.png", np.zeros((4, 8, 3), np.uint8))
    write_image(tmp_path / "masks" / "a.png", mask)
    small = np.array([[0.3, 1.0], [0.3, 1.0]], np.float32)
    row = evaluate(lambda frame: small, find_pairs(tmp_path), 0.5).rows[0]
    assert row.fp == 4 * 5  # cutting first and resizing the mask would give 4 * 4


def test_a_network_that_gives_nan_is_an_error_that_names_the_image(pairs: list[Pair]) -> None:
    def broken(frame: np.ndarray) -> np.ndarray:
        return np.full(frame.shape[:2], np.nan, np.float32)

    with pytest.raises(InputError, match=r"NaN or infinity on .*a-exact\.png"):
        evaluate(broken, pairs, 0.5)


def test_progress_is_told_once_per_image(pairs: list[Pair]) -> None:
    steps: list[int] = []
    evaluate(red, pairs, 0.5, advance=lambda: steps.append(1))
    assert len(steps) == 5


def test_the_csv_holds_a_line_per_image(pairs: list[Pair], tmp_path: Path) -> None:
    evaluation = evaluate(red, pairs, 0.5)
    evaluation.write_csv(tmp_path / "out" / "rows.csv")
    with (tmp_path / "out" / "rows.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["stem"] for row in rows] == ["a-exact", "b-half", "c-missed", "d-free", "e-free"]
    assert float(rows[1]["dice"]) == evaluation.rows[1].dice == 0.5
    assert rows[2]["size"] == "large"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["rows.csv"]


def test_the_worst_come_first(pairs: list[Pair]) -> None:
    evaluation = evaluate(red, pairs, 0.5)
    assert [row.stem for row in evaluation.worst(3)] == ["c-missed", "d-free", "b-half"]


def test_the_worst_picture_shows_them_with_contours(tmp_path: Path) -> None:
    write_set(tmp_path / "set", 3, seed=1, height=90, width=120)
    pairs = find_pairs(tmp_path / "set")

    def shifted(frame: np.ndarray) -> np.ndarray:
        return np.roll((frame[:, :, 0] > 120).astype(np.float32), 5, axis=1)

    evaluation = evaluate(shifted, pairs, 0.5)
    worst_picture(evaluation, shifted, pairs, tmp_path / "worst.png", n=2)
    picture = read_image(tmp_path / "worst.png")
    assert picture.shape == (2 * (240 + 24), 3 * 320, 3)
    frame, truth, prediction = np.split(picture[24:264], 3, axis=1)

    def shows(panel: np.ndarray, colour: tuple[int, int, int]) -> bool:
        return bool((panel == colour).all(axis=2).any())

    green, yellow = (60, 220, 60), (250, 220, 40)
    assert not shows(frame, green)
    assert shows(truth, green)
    assert not shows(truth, yellow)
    assert shows(prediction, yellow)


def test_pranet_measures_leave_polyp_free_frames_out(pairs: list[Pair]) -> None:
    pytest.importorskip("py_sod_metrics", reason="needs microaunet[pranet]")
    evaluation: Evaluation = evaluate(red, pairs, 0.5, pranet=True)
    assert evaluation.summary["pranet"]["images"] == 3
    assert 0 < evaluation.summary["pranet"]["dice_pranet"]["mean"] < 1
    assert "pranet" not in evaluate(red, pairs, 0.5).summary
