"""The comparison: graphs that compute what their networks do, keys and table that readers rely on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("microaunet_export.graph")

from benchmarks.compare import PAPER, PUBLISHED_ONLY, SHIPPED, markdown
from benchmarks.measuring.graphs import MeasuredGraph, as_published, as_shipped
from benchmarks.measuring.timing import FRAMES, TURNS, frames, side_by_side
from microaunet.models import create
from microaunet_export.graph import GraphRunner
from microaunet_runtime.percentiles import summary


@pytest.fixture(scope="module")
def student() -> nn.Module:
    torch.manual_seed(0)
    return create("edge").eval()


@pytest.fixture(scope="module")
def shipped(student: nn.Module) -> MeasuredGraph:
    return as_shipped(SHIPPED, student)


def test_both_forms_compute_what_the_network_does(student: nn.Module, shipped: MeasuredGraph) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    with torch.inference_mode():
        logits = student(torch.from_numpy(frame).permute(2, 0, 1)[None] / 255)
    expected = torch.sigmoid(logits).numpy()
    for graph in (shipped, as_published("plain", student)):
        assert np.abs(GraphRunner(graph.onnx)(frame)["probability"] - expected).max() < 1e-4


def test_the_shipped_form_has_fewer_nodes(student: nn.Module, shipped: MeasuredGraph) -> None:
    assert len(shipped.onnx.graph.node) < len(as_published("plain", student).onnx.graph.node)


def test_side_by_side_times_every_graph_in_every_round(shipped: MeasuredGraph) -> None:
    rounds: list[None] = []
    graphs = [shipped, MeasuredGraph("again", shipped.network, shipped.onnx)]
    tensors = [np.full((1, 256, 256, 3), value, np.uint8) for value in (40, 90)]
    times = side_by_side(graphs, tensors, 2, lambda: rounds.append(None))
    assert set(times) == {SHIPPED, "again"}
    assert len(rounds) == 2
    for values in times.values():
        assert values.wall.shape == values.cpu.shape
        assert values.wall.shape[0] == 2
        assert values.wall.shape[1] in (TURNS, TURNS * FRAMES)  # a slow machine gets one frame a turn
        assert (values.wall > 0).all()


def test_without_data_the_frames_are_synthetic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MICROAUNET_DATA", raising=False)
    tensors, kind = frames()
    assert kind == "synthetic"
    assert {tensor.shape for tensor in tensors} == {(1, 256, 256, 3)}
    assert len({tensor.tobytes() for tensor in tensors}) == len(tensors)


def test_with_data_the_frames_are_real(data_root: object) -> None:
    tensors, kind = frames()
    assert kind == "real"
    assert len({tensor.tobytes() for tensor in tensors}) == len(tensors)


def test_the_table_marks_what_is_published_and_what_was_not_trained() -> None:
    row = {
        "parameters": 24_881,
        "macs": 16e6,
        "nodes": 575,
        "latency_ms": summary([7.0, 7.2]),
        "cpu_ms": summary([6.9, 7.0]),
        "times_shipped": {"ratio": 5.0, "low": 4.8, "high": 5.2},
        "accuracy": None,
        "source": "measured",
    }
    trained = {**row, "accuracy": {"kvasir-test": {"dice_image": {"mean": 0.8, "low": 0.7, "high": 0.9}}}}
    text = markdown(
        {
            "networks": {SHIPPED: trained, PAPER: row, **PUBLISHED_ONLY},
            "speedup_over_paper": 5.0,
            "speedup_over_paper_cpu": 4.9,
            "macs_convention": "counted",
            "frames": "synthetic",
            "rounds": 2,
            "environment": {"versions": {}, "device": "here", "load_average": None},
        }
    )
    lines = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| ")}
    assert "0.800 on kvasir-test" in lines[SHIPPED]
    assert lines[PAPER].endswith("| - |")
    assert "5.00 (4.80 to 5.20)" in lines[PAPER]
    assert "published" in lines["sanet"]
    assert "`speedup_over_paper` 5.00" in text
