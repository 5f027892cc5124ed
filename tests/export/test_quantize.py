"""INT8: symmetric pairs where they pay, in the graph's own type, and what coverage says of them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from hand_made import Drawing
from onnx import ModelProto, TensorProto, helper, numpy_helper
from small_network import SIZE, lively_network

from microaunet.models.fuse import deploy
from microaunet_export.calibrate import collect
from microaunet_export.coverage import cost, quantised
from microaunet_export.graph import GraphRunner, export_graph
from microaunet_export.half import to_half
from microaunet_export.quantize import convolutions, quantize
from microaunet_export.rewrite import for_gpu
from microaunet_runtime.images import synthetic
from microaunet_runtime.inference.onnxruntime import OnnxRuntimeBackend

Ranges = dict[str, tuple[float, float]]


@pytest.fixture(scope="module")
def ranges(gpu_graphs: dict[int, ModelProto]) -> Ranges:
    nodes = convolutions(gpu_graphs[17])
    return {**{node.name: (-1.0, 6.0) for node in nodes}, nodes[0].name: (0.0, 255.0)}


def quantizers(model: ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]


@pytest.mark.parametrize(("opset", "ir", "scale"), [(17, 8, TensorProto.FLOAT), (19, 9, TensorProto.FLOAT16)])
def test_scales_have_the_gpu_graphs_type_and_zero_points_are_zero(
    gpu_graphs: dict[int, ModelProto], ranges: Ranges, opset: int, ir: int, scale: int
) -> None:
    model = gpu_graphs[17] if opset == 17 else to_half(gpu_graphs[19], 19)
    int8 = quantize(model, opset, ranges)
    weights = {tensor.name: tensor for tensor in int8.graph.initializer}
    for node in quantizers(int8):
        assert weights[node.input[1]].data_type == scale
        zero = weights[node.input[2]]
        assert zero.data_type == TensorProto.INT8
        assert not numpy_helper.to_array(zero).any()
    assert (int8.opset_import[0].version, int8.ir_version, len(int8.opset_import)) == (opset, ir, 1)
    assert GraphRunner(int8)(synthetic.frame(0, SIZE, SIZE)[0])["mask"].shape == (1, 1, SIZE, SIZE)


def test_pairs_stand_before_convolutions_and_on_shortcuts_only(
    gpu_graphs: dict[int, ModelProto], ranges: Ranges
) -> None:
    int8 = quantize(gpu_graphs[17], 17, ranges)
    made = {node.output[0] for node in int8.graph.node if node.op_type == "DequantizeLinear"}
    readers = {
        (node.op_type, list(node.input).index(name))
        for node in int8.graph.node
        for name in node.input
        if name in made
    }
    assert readers == {("Conv", 0), ("Conv", 1), ("Add", 1)}
    shortcuts = [node.name for node in int8.graph.node if node.op_type == "Add" and node.input[1] in made]
    blocks = [
        f"stages.{stage}/stages.{stage}.{k}" for stage, n in enumerate((1, 2, 2, 2)) for k in range(1, n + 1)
    ]
    assert shortcuts == [f"{name}/Add" for name in (*blocks, *(f"fusion.{k}" for k in range(3)))]


def test_the_policy_leaves_in_float_what_has_no_kernel(
    gpu_graphs: dict[int, ModelProto], ranges: Ranges
) -> None:
    share = quantised(quantize(gpu_graphs[17], 17, ranges))
    assert share.convolutions - share.convolutions_int8 == 3, "the attention's depthwise convolutions"
    assert share.macs_percent > 95


def test_a_head_on_global_means_stays_in_float() -> None:
    """As a presence head has it: means and maxima of the coarsest stage, a 1x1 convolution, a sigmoid."""
    d = Drawing()
    stage = d.op("Relu", d.conv(d.x, "stage"))
    mean, largest = (d.op(kind, stage, axes=[2, 3]) for kind in ("ReduceMean", "ReduceMax"))
    joined = d.op("Concat", mean, largest, axis=1)
    d.weight("w", np.ones((1, 16, 1, 1), np.float32))
    d.op("Sigmoid", d.op("Conv", joined, "w", name="head"), name="presence")
    d.conv(stage, "next")
    model = for_gpu(d.model("presence.out", "next.out"), 17)
    int8 = quantize(model, 17, dict.fromkeys(("stage", "next"), (-1.0, 1.0)))
    made = {node.output[0] for node in int8.graph.node if node.op_type == "DequantizeLinear"}
    reading = [node.name for node in int8.graph.node if made & set(node.input)]
    assert reading == ["stage", "next"]


def test_weights_are_quantised_per_channel(gpu_graphs: dict[int, ModelProto], ranges: Ranges) -> None:
    int8 = quantize(gpu_graphs[17], 17, ranges)
    weights = {tensor.name: tensor for tensor in int8.graph.initializer}
    for node in quantizers(int8):
        if node.op_type == "QuantizeLinear" and node.input[0] in weights:
            assert weights[node.input[1]].dims == weights[node.input[0]].dims[:1]


def test_convolutions_named_stay_in_float(gpu_graphs: dict[int, ModelProto], ranges: Ranges) -> None:
    kept = [node.name for node in convolutions(gpu_graphs[17])][:3]
    share = quantised(quantize(gpu_graphs[17], 17, ranges, kept))
    assert share.convolutions - share.convolutions_int8 == 3 + 3
    assert quantised(quantize(gpu_graphs[17], 17, ranges, ranges)).convolutions_int8 == 0


def test_small_weights_do_not_make_the_file_with_fp16_another() -> None:
    """Input scale times weight scale is below what FP16 holds: no bias may be rounded to such steps."""
    network = deploy(lively_network("edge-presence"))
    with torch.no_grad():
        for name, module in network.named_modules():
            if name.endswith("depthwise.0") or name == "stem.0":
                module.weight *= 0.03
    graphs = {opset: for_gpu(export_graph(network, SIZE, SIZE, 0.5, opset), opset) for opset in (17, 19)}
    frames = [synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(6)]
    ranges = collect(graphs[17], frames, lambda: None)["minmax"]
    files = {
        "int8": quantize(graphs[17], 17, ranges),
        "int8-fp16": quantize(to_half(graphs[19], 19), 19, ranges),
    }
    int8, mixed = (
        OnnxRuntimeBackend(model.SerializeToString(), precision, precision, SIZE, SIZE, threads=1)
        for precision, model in files.items()
    )
    for frame in frames:
        assert np.abs(int8.infer(frame[None]).probability - mixed.infer(frame[None]).probability).max() < 0.1


def test_same_input_same_bytes(gpu_graphs: dict[int, ModelProto], ranges: Ranges) -> None:
    first, second = (
        quantize(gpu_graphs[17], 17, ranges).SerializeToString(deterministic=True) for _ in range(2)
    )
    assert first == second


def hand_made() -> ModelProto:
    """1 x 4 x 8 x 8 -> padded 3x3 to 2 channels -> ReLU -> 1x1 to 3 channels -> reshape -> matrix product."""
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "second"),
        helper.make_node("Reshape", ["c", "shape"], ["d"], "view"),
        helper.make_node("MatMul", ["d", "w3"], ["y"], "product"),
    ]
    weights = {
        "w1": np.ones((2, 4, 3, 3), np.float32),
        "w2": np.ones((3, 2, 1, 1), np.float32),
        "w3": np.ones((64, 5), np.float32),
        "shape": np.array([1, 3, 64], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 5])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_cost_of_a_hand_made_graph() -> None:
    found = cost(hand_made())
    first, second, product = 2 * 64 * 4 * 9, 3 * 64 * 2, 3 * 5 * 64
    assert (found.nodes, found.convolutions, found.macs) == (5, 2, first + second + product)
    x, a, c, y = 4 * 64, 2 * 64, 3 * 64, 15
    assert found.bytes_moved == 4 * (x + 72 + a + a + a + a + 6 + c + c + 320 + y)
    assert found.launches == 3, "the ReLU joins the first convolution, the view is free"


def test_quantised_share_of_a_hand_made_graph() -> None:
    share = quantised(quantize(hand_made(), 17, {"first": (-1, 1), "second": (0, 1)}, ["second"]))
    assert (share.convolutions_int8, share.convolutions) == (1, 2)
    assert (share.macs_int8, share.macs) == (4608, 4608 + 384 + 960)
    assert share.convolutions_percent == 50
    assert share.macs_percent == pytest.approx(77.419, abs=1e-3)
