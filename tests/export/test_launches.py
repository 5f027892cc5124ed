"""Which operators become one kernel: on graphs by hand, and as NVIDIA's compiler has it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from hand_made import Drawing
from onnx import TensorProto
from small_network import lively_network

from microaunet.models.fuse import deploy
from microaunet_export.coverage import quantised
from microaunet_export.graph import export_graph
from microaunet_export.half import to_half
from microaunet_export.launches import Launches, expected
from microaunet_export.rewrite import for_gpu


def operators(found: Launches) -> list[str]:
    return [" ".join(kernel.operators) for kernel in found.kernels]


def reasons(found: Launches) -> dict[str, str]:
    return {stop.at: stop.reason for stop in found.stops}


def test_a_convolution_takes_sum_and_activation() -> None:
    d = Drawing()
    x = d.op("Relu", d.conv(d.x, "first"))
    d.op("Relu", d.op("Add", d.conv(x, "second"), x), name="last")
    assert operators(expected(d.model("last.out"))) == ["Conv Relu", "Conv Add Relu"]


def test_a_sum_that_broadcasts_stays_outside_and_joins_what_is_pointwise() -> None:
    d = Drawing()
    mean = d.op("AveragePool", d.x, kernel_shape=[16, 16])
    gate = d.op(
        "Sigmoid",
        d.op("Add", d.conv(d.x, "space", kernel=3, depthwise=True), d.conv(mean, "pixel"), name="add"),
    )
    d.op("Add", d.op("Mul", d.x, gate), d.x, name="last")
    found = expected(d.model("last.out"))
    assert operators(found) == ["AveragePool", "Conv", "Conv", "Add Sigmoid Mul Add"]
    assert reasons(found) == {"add": "the sum broadcasts"}


def test_what_two_read_or_what_leaves_the_graph_ends_a_convolutions_kernel() -> None:
    d = Drawing()
    made = d.conv(d.x, "conv")
    d.op("Mul", d.op("Relu", made), made, name="product")
    assert operators(expected(d.model("product.out"))) == ["Conv", "Relu Mul"]
    d = Drawing()
    made = d.conv(d.x, "conv")
    d.op("Relu", made, name="relu")
    assert operators(expected(d.model("relu.out", made))) == ["Conv", "Relu"]


def test_pointwise_operators_do_not_join_around_a_convolution() -> None:
    """Sigmoid -> convolution -> product with the same sigmoid: the product waits for the convolution."""
    d = Drawing()
    start = d.op("Sigmoid", d.x)
    d.op("Mul", start, d.conv(start, "between"), name="end")
    found = expected(d.model("end.out"))
    assert operators(found) == ["Sigmoid", "Conv", "Mul"]


def test_moves_join_and_views_cost_nothing() -> None:
    d = Drawing(channels=3, element=TensorProto.UINT8)
    x = d.op("Transpose", d.op("Cast", d.x, to=TensorProto.FLOAT), perm=[0, 1, 3, 2])
    flat = d.op("Reshape", x, d.weight("shape", [1, 768]))
    d.op("Relu", flat, name="end")
    assert operators(expected(d.model("end.out"))) == ["Cast Transpose Relu"]


def test_resize_alone_between_convolutions_is_a_kernel() -> None:
    d = Drawing()
    large = d.op("Resize", d.conv(d.x, "a"), "", d.weight("scales", [1.0, 1, 2, 2]), mode="nearest")
    d.conv(large, "b")
    assert operators(expected(d.model("b.out"))) == ["Conv", "Resize", "Conv"]


def residual_block(shortcut: bool) -> Drawing:
    """Depthwise, ReLU, 1x1, sum with the input, ReLU, all in INT8, then a convolution as reader."""
    d = Drawing()
    x = d.op("Relu", d.conv(d.pair(d.x, "in"), "before", int8=True))
    read = d.pair(x, "x")
    inner = d.op("Relu", d.conv(read, "depthwise", kernel=3, depthwise=True, int8=True))
    made = d.conv(d.pair(inner, "inner"), "pointwise", int8=True)
    after = d.op("Relu", d.op("Add", made, read if shortcut else x, name="add"), name="after")
    d.conv(d.pair(after, "out"), "reader", int8=True)
    return d


def test_with_its_shortcut_in_int8_a_residual_block_is_two_kernels() -> None:
    found = expected(residual_block(shortcut=True).model("reader.out"))
    assert operators(found) == [
        "QuantizeLinear",
        "Conv Relu QuantizeLinear",
        "Conv Relu QuantizeLinear",
        "Conv Add Relu QuantizeLinear",
        "Conv",
    ]
    assert [kernel.int8 for kernel in found.kernels] == [False, True, True, True, True]
    assert not found.stops


def test_with_its_shortcut_in_float_each_block_pays_two_kernels_more() -> None:
    found = expected(residual_block(shortcut=False).model("reader.out"))
    assert operators(found) == [
        "QuantizeLinear",
        "Conv Relu",
        "QuantizeLinear",
        "Conv Relu QuantizeLinear",
        "Conv Add Relu",
        "QuantizeLinear",
        "Conv",
    ]
    assert reasons(found) == {
        "x.q": "its input is also read by add",
        "out.q": "the sum's other operand is in float, so the result is too",
    }


def test_a_shortcut_in_int8_is_in_the_way_when_the_sum_is_read_in_float() -> None:
    d = Drawing()
    read = d.pair(d.x, "x")
    summed = d.op("Add", d.conv(read, "conv", int8=True), read, name="add")
    d.op("Resize", summed, "", d.weight("scales", [1.0, 1, 2, 2]), name="resize", mode="nearest")
    found = expected(d.model("resize.out"))
    assert operators(found) == ["QuantizeLinear", "Conv", "Add Resize"]
    assert "the sum is read in float, by resize" in reasons(found)["add"]


def test_a_pair_around_a_convolution_in_float_costs_two_kernels() -> None:
    d = Drawing()
    d.conv(d.pair(d.conv(d.pair(d.x, "x"), "in_float"), "y"), "int8", int8=True)
    found = expected(d.model("int8.out"))
    assert operators(found) == ["QuantizeLinear", "DequantizeLinear", "Conv", "QuantizeLinear", "Conv"]
    assert reasons(found) == {
        "x.dq": "in_float reads it in float",
        "y.q": "in_float is in float, so the result is too",
    }


def test_kernels_read_and_write_what_is_stored() -> None:
    kernels = expected(residual_block(shortcut=True).model("reader.out")).kernels
    block = kernels[3]
    assert block.name == "pointwise"
    assert set(block.reads) == {"inner.q.out", "x.q.out", "pointwise.wq.out", "pointwise.b", "out.s", "out.z"}
    assert block.writes == ("out.q.out",)


def without_presence(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without its output ``presence``, and what only that needs."""
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.graph.output.remove(next(value for value in rest.graph.output if value.name == "presence"))
    while idle := [node for node in rest.graph.node if not read(rest) & set(node.output)]:
        for node in idle:
            rest.graph.node.remove(node)
    return rest


def read(model: onnx.ModelProto) -> set[str]:
    inputs = {name for node in model.graph.node for name in node.input}
    return inputs | {value.name for value in model.graph.output}


@pytest.mark.parametrize(
    ("architecture", "map_alone", "whole"), [("edge", 45, 47), ("edge-presence", 41, 44)]
)
def test_the_students_launches_in_fp16(architecture: str, map_alone: int, whole: int) -> None:
    network = deploy(lively_network(architecture))
    model = to_half(for_gpu(export_graph(network, 256, 256, 0.5, 17), 17), 17)
    assert len(expected(without_presence(model)).kernels) == map_alone
    assert len(expected(model).kernels) == whole


def test_tensorrt_rtx_makes_as_many_kernels_of_float_graphs(bundle_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (microaunet[rtx])")
    result = tmp_path / "kernels.json"
    command = ["-m", "benchmarks.kernels", "--bundle", str(bundle_folder), "--json", str(result)]
    subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=Path(__file__).parents[2])
    files = json.loads(result.read_text())["files"]
    for name in ("fp32", "fp16"):
        assert abs(len(files[name]["built"]) - len(files[name]["expected"])) <= 1
    for name in ("int8", "int8-fp16"):  # the one compiler here does not fuse INT8; it must take it, though
        assert len(files[name]["built"]) > len(files[name]["expected"])


@pytest.mark.parametrize("precision", ["int8", "int8-fp16"])
def test_int8_takes_few_launches_more_than_fp16(bundle_folder: Path, precision: str) -> None:
    fp16 = expected(onnx.load(bundle_folder / "fp16.onnx"))
    int8 = expected(onnx.load(bundle_folder / f"{precision}.onnx"))
    assert len(int8.kernels) <= len(fp16.kernels) + 4
    assert quantised(onnx.load(bundle_folder / f"{precision}.onnx")).macs_percent >= 90
