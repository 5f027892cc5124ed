"""What an ONNX file asks for is read from its bytes as the onnx package reads it."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hostile_graphs import looping_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from redness import tiny_graph
from typed_graphs import OPSETS, typed_graph

from microaunet_runtime.bundle.graph_needs import FUNCTION, needs
from microaunet_runtime.bundle.operators import OPERATORS

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("precision", OPSETS)
def test_the_operators_are_those_that_onnx_finds(precision: str) -> None:
    content = typed_graph(precision, 64, 96)
    found = needs(content)
    assert found.operators == {node.op_type for node in onnx.load_from_string(content).graph.node}
    assert found.operators <= OPERATORS
    assert not found.external


def test_operators_inside_a_body_and_of_another_domain_are_seen() -> None:
    model = onnx.load_from_string(looping_graph(64, 96, 3))
    body = next(node for node in model.graph.node if node.op_type == "Loop").attribute[0].g
    body.node[1].domain, body.node[1].op_type = "com.vendor", "Spy"
    assert {"Loop", "Identity", "com.vendor.Spy"} <= needs(model.SerializeToString()).operators


def test_a_function_that_takes_a_listed_name_is_seen() -> None:
    model = onnx.load_from_string(tiny_graph(64, 96))
    node = onnx.helper.make_node("Loop", ["x"], ["y"])
    model.functions.append(
        onnx.helper.make_function("", "Sigmoid", ["x"], ["y"], [node], model.opset_import[:])
    )
    assert {FUNCTION, "Loop"} <= needs(model.SerializeToString()).operators


def test_data_in_another_file_is_seen_wherever_the_tensor_lies() -> None:
    outside = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="/etc/passwd")
    tensor = onnx.helper.make_node("Constant", [], ["c"], value=outside)
    sparse = onnx.SparseTensorProto(values=outside)
    inside = onnx.GraphProto(node=[tensor])
    for graph in (
        onnx.GraphProto(initializer=[outside]),
        onnx.GraphProto(node=[tensor]),
        onnx.GraphProto(sparse_initializer=[sparse]),
        onnx.GraphProto(node=[onnx.helper.make_node("If", ["c"], ["y"], then_branch=inside)]),
    ):
        assert needs(onnx.ModelProto(graph=graph).SerializeToString()).external


@pytest.mark.parametrize(
    "content",
    [
        b"\x3a\x7f",  # cut short
        b"\x3a" + b"\xff" * 10,  # a length that never ends
        b"\x3b\x3c",  # a group, which nobody writes any more
        b"\xba\x80\x80\x80\x80\x01\x00",  # field 7 again, for readers that cut its number to 32 bits
        b"\x3a\x02\x0a\x00",  # a node without a type
        b"\x3a\x08\x0a\x06\x22\x01A\x22\x01B",  # one with two
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        needs(content)


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_damaged_file_is_read_or_refused(seed: int) -> None:
    rng = random.Random(seed)
    content = bytearray(tiny_graph(64, 96))
    for _ in range(rng.randint(1, 8)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    with suppress(ValueError):
        needs(bytes(content[: rng.randint(0, len(content))]))
