"""Rewrites for GPUs: the same values, in fewer kernels."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hand_made import Drawing
from small_network import SIZE, lively_network

from microaunet.models.fuse import deploy
from microaunet_export import rewrite
from microaunet_export.graph import GraphRunner, export_graph
from microaunet_export.launches import expected
from microaunet_export.reference import Reference
from microaunet_export.rewrite import for_gpu
from microaunet_runtime.images import synthetic


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"x": x})[0]
    return found


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def gate(depthwise: bool = True, relu: bool = False, leaves: bool = False) -> onnx.ModelProto:
    """x + x * sigmoid(space(x) + channels(mean of x)) behind a 1x1 convolution."""
    d = Drawing(channels=5)
    x = d.conv(d.x, "value", 6)
    if relu:
        x = d.op("Relu", x)
    space = d.conv(x, "space", kernel=3, depthwise=depthwise)
    channels = d.conv(d.op("GlobalAveragePool", x), "channels")
    made = d.op("Mul", x, d.op("Sigmoid", d.op("Add", space, channels)))
    d.op("Add", x, made, name="end")
    return d.model("end.out", *([x] if leaves else []))


def test_a_gate_computes_the_same_in_fewer_kernels() -> None:
    model, x = gate(), np.random.default_rng(0).normal(size=(1, 5, 16, 16)).astype(np.float32)
    rewritten = for_gpu(model, 17)
    np.testing.assert_allclose(run(rewritten, x), run(model, x), rtol=1e-5, atol=1e-5)
    assert kinds(rewritten).count("Conv") == kinds(model).count("Conv") - 1
    assert len(expected(rewritten).kernels) == len(expected(model).kernels) - 1 == 4


def test_a_gate_on_a_map_too_large_to_pay_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "MOST_MACS", 16 * 16 * (6 * 5 + 6 * 9) - 1)
    assert kinds(for_gpu(gate(), 17)).count("Conv") == kinds(gate()).count("Conv")
    monkeypatch.setattr(rewrite, "MOST_MACS", 16 * 16 * (6 * 5 + 6 * 9))
    assert kinds(for_gpu(gate(), 17)).count("Conv") < kinds(gate()).count("Conv")


@pytest.mark.parametrize("form", [{"depthwise": False}, {"relu": True}, {"leaves": True}])
def test_other_gates_only_get_a_pooling(form: dict[str, bool]) -> None:
    model, x = gate(**form), np.random.default_rng(0).normal(size=(1, 5, 16, 16)).astype(np.float32)
    rewritten = for_gpu(model, 17)
    np.testing.assert_allclose(run(rewritten, x), run(model, x), rtol=1e-5, atol=1e-5)
    changed = ["AveragePool" if kind == "GlobalAveragePool" else kind for kind in kinds(model)]
    assert kinds(rewritten) == changed


def test_shared_weights_get_a_copy_for_each_convolution() -> None:
    d = Drawing()
    first = d.conv(d.x, "first")
    second = d.op("Conv", first, "first.w", "first.b", name="second")
    rewritten = for_gpu(d.model(second), 17)
    read = [name for node in rewritten.graph.node for name in node.input[1:]]
    assert len(set(read)) == 4
    x = np.random.default_rng(0).normal(size=(1, 8, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(run(rewritten, x), run(d.model(second), x))


@pytest.mark.parametrize("opset", [17, 19])
def test_the_student_stays_within_rounding_of_the_reference(
    network: torch.nn.Module, graphs: dict[int, onnx.ModelProto], opset: int
) -> None:
    rewritten, reference = for_gpu(graphs[opset], opset), Reference(network)
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    for frame in (noise, np.zeros_like(noise), synthetic.frame(3, SIZE, SIZE)[0]):
        difference = np.abs(GraphRunner(rewritten)(frame)["probability"][0, 0] - reference(frame)[0])
        assert difference.max() <= 1e-5
    assert len(expected(rewritten).kernels) == len(expected(graphs[opset]).kernels) - 3


def test_another_width_depth_and_number_of_gates_are_rewritten_too() -> None:
    from microaunet.models.edge import EdgeMicroAUNet

    torch.manual_seed(0)
    model = EdgeMicroAUNet(stem=4, widths=(8, 12, 20, 28), depths=(0, 1, 1, 1), width=12, gated=2).eval()
    torch.nn.init.normal_(model.attention.space.weight)
    graph = export_graph(deploy(model), 96, 128, 0.5, 17)
    rewritten = for_gpu(graph, 17)
    frame = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    difference = GraphRunner(rewritten)(frame)["probability"] - GraphRunner(graph)(frame)["probability"]
    assert np.abs(difference).max() <= 1e-5
    assert kinds(rewritten).count("Conv") == kinds(graph).count("Conv") - 2


def test_same_input_same_bytes(graphs: dict[int, onnx.ModelProto]) -> None:
    again = for_gpu(export_graph(deploy(lively_network()), SIZE, SIZE, 0.5, 17), 17)
    assert again.SerializeToString(deterministic=True) == for_gpu(graphs[17], 17).SerializeToString(
        deterministic=True
    )
