"""The deployed graph: its contract, exactness, versions and determinism."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import pytest
import torch
from small_network import SIZE, lively_network

from microaunet.models import create
from microaunet.models.fuse import deploy
from microaunet_export.graph import GraphRunner, check_versions, export_graph, structure_sha256
from microaunet_export.half import to_half
from microaunet_export.quantize import convolutions
from microaunet_export.reference import Reference
from microaunet_runtime.images import synthetic


def frames() -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    extremes = [np.full((SIZE, SIZE, 3), value, np.uint8) for value in (0, 255)]
    return [noise, *extremes, synthetic.frame(3, SIZE, SIZE)[0]]


@pytest.mark.parametrize("opset", [17, 19])
def test_contract(graphs: dict[int, onnx.ModelProto], opset: int) -> None:
    graph = graphs[opset].graph
    found = {
        value.name: (
            value.type.tensor_type.elem_type,
            [d.dim_value for d in value.type.tensor_type.shape.dim],
        )
        for value in (*graph.input, *graph.output)
    }
    assert found == {
        "frame": (onnx.TensorProto.UINT8, [1, SIZE, SIZE, 3]),
        "probability": (onnx.TensorProto.FLOAT, [1, 1, SIZE, SIZE]),
        "mask": (onnx.TensorProto.UINT8, [1, 1, SIZE, SIZE]),
        "presence": (onnx.TensorProto.FLOAT, [1]),
    }
    first = next(node for node in graph.node if "frame" in node.input)
    assert first.op_type == "Cast", "TensorRT refuses any other operator on uint8"
    last = next(node for node in graph.node if "mask" in node.output)
    before = next(node for node in graph.node if last.input[0] in node.output)
    types = [attribute.i for node in (before, last) for attribute in node.attribute if node.op_type == "Cast"]
    assert types == [onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8], "it documents uint8 from floats only"


@pytest.mark.parametrize(("opset", "ir"), [(17, 8), (19, 9)])
def test_versions_load_in_older_runtimes(graphs: dict[int, onnx.ModelProto], opset: int, ir: int) -> None:
    model = graphs[opset]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    assert model.ir_version == ir


def test_another_opset_than_asked_for_is_noticed(graphs: dict[int, onnx.ModelProto]) -> None:
    with pytest.raises(RuntimeError, match="not 17"):
        check_versions(graphs[19], 17, newest_ir=9)


@pytest.mark.parametrize("opset", [17, 19])
def test_exact_up_to_the_borders(
    network: torch.nn.Module, graphs: dict[int, onnx.ModelProto], opset: int
) -> None:
    runner, reference = GraphRunner(graphs[opset]), Reference(network)
    for frame in frames():
        difference = np.abs(runner(frame)["probability"][0, 0] - reference(frame)[0])
        assert difference.max() <= 1e-5
        assert max(difference[0].max(), difference[:, -1].max()) <= 1e-5


def test_published_network_exports_exactly() -> None:
    torch.manual_seed(1)
    model = create("paper").eval()
    frame = synthetic.frame(0, 128, 128)[0]
    found = GraphRunner(export_graph(deploy(model), 128, 128, 0.5, 17))(frame)["probability"][0, 0]
    assert np.abs(found - Reference(model)(frame)[0]).max() <= 1e-4


@pytest.mark.parametrize("architecture", ["edge", "edge-presence"])
def test_presence_is_the_references_and_brings_no_convolution(architecture: str) -> None:
    """By the head where there is one, else by the map; what quantises convolutions finds none of its own."""
    model = lively_network(architecture)
    headless = copy.deepcopy(model)
    headless.presence = None
    if architecture == "edge-presence":
        torch.nn.init.normal_(model.presence.linear.weight, std=0.3)
        torch.nn.init.constant_(model.presence.linear.bias, 6.0)  # else it says 0 of every frame
    reference = Reference(model)
    for opset in (17, 19):
        graph = export_graph(deploy(model), SIZE, SIZE, 0.5, opset)
        without_head = export_graph(deploy(headless), SIZE, SIZE, 0.5, opset)
        assert len(convolutions(graph)) == len(convolutions(without_head))
        full, half = GraphRunner(graph), GraphRunner(to_half(graph, opset))
        expected = np.array([reference(frame)[1] for frame in frames()])
        assert np.ptp(expected) > 1e-3
        for runner, tolerance in ((full, 1e-5), (half, 0.01)):
            found = np.concatenate([runner(frame)["presence"] for frame in frames()])
            np.testing.assert_allclose(found, expected, atol=tolerance)


def test_mask_is_the_thresholded_probability(network: torch.nn.Module) -> None:
    frame = frames()[3]
    threshold = float(np.median(Reference(network)(frame)[0]))
    for model in (graph := export_graph(deploy(network), SIZE, SIZE, threshold, 17), to_half(graph, 17)):
        found = GraphRunner(model)(frame)
        assert 0.2 < found["mask"].mean() < 0.8
        np.testing.assert_array_equal(found["mask"], found["probability"] > np.float32(threshold))


def test_same_input_same_bytes_and_nothing_of_the_machine(graphs: dict[int, onnx.ModelProto]) -> None:
    again = export_graph(deploy(lively_network()), SIZE, SIZE, 0.5, 17)
    content = again.SerializeToString(deterministic=True)
    assert content == graphs[17].SerializeToString(deterministic=True)
    assert b".py" not in content
    assert b"site-packages" not in content


def test_names_hold_across_opsets_and_types(graphs: dict[int, onnx.ModelProto]) -> None:
    """Calibration ranges are keyed by them."""
    names = [node.name for node in convolutions(graphs[17])]
    assert len(set(names)) == len(names) > 30
    assert names == [node.name for node in convolutions(graphs[19])]
    assert names == [node.name for node in convolutions(to_half(graphs[19], 19))]


def test_structure_hash_follows_the_graph_and_not_the_weights(graphs: dict[int, onnx.ModelProto]) -> None:
    other = export_graph(deploy(lively_network(seed=5)), SIZE, SIZE, 0.3, 17)
    assert structure_sha256(other) == structure_sha256(graphs[17])
    larger = export_graph(deploy(lively_network()), 2 * SIZE, SIZE, 0.5, 17)
    assert structure_sha256(larger) != structure_sha256(graphs[17])
