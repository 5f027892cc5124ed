"""The project's own bars on INT8."""

from __future__ import annotations

import pytest

pytest.importorskip("onnx")

from benchmarks.int8 import bad_frames, label, shortfalls
from benchmarks.measuring.reported import reported


def figures(int8: int, mixed: int, share: float) -> dict[str, object]:
    return {
        "launches": {"fp32": 50, "fp16": 45, "int8": int8, "int8-fp16": mixed},
        "quantised": {"macs_percent": share},
    }


def test_launches_and_macs_are_bounded() -> None:
    assert shortfalls(figures(49, 49, 90.0)) == []
    assert shortfalls(figures(50, 49, 89.9)) == [
        "int8 takes 50 launches, more than 4 above FP16's 45",
        "89.9 % of the MACs are in INT8, fewer than 90 %",
    ]
    assert len(shortfalls(figures(50, 50, 95.0))) == 2


def test_a_frame_that_agrees_too_little_is_named_with_its_precision() -> None:
    found = {name: {"mask_agreement": {"worst": worst}} for name, worst in (("fp16", 0.95), ("int8", 0.79))}
    assert bad_frames(found) == ["int8: the worst frame agrees to 0.79, below 0.8"]
    assert bad_frames({"int8": {"mask_agreement": {"worst": float("nan")}}})


def test_fine_tuned_weights_are_reported_on_the_sets_of_those_they_come_from() -> None:
    for run in ("general-qat", "general-qat-2"):
        file = f"runs/{run}/weights.safetensors"
        assert reported(file) == reported("general")
        assert (label(file), label("general")) == (run, "general")
