"""What is quantised, on small graphs."""

from __future__ import annotations

import pytest

from microaunet.quantisation.places import Operation, Places, find


def convolution(name: str, read: str, depthwise: bool = False, pixels: int = 64) -> Operation:
    return Operation(name, "convolution", (read,), name, depthwise, pixels)


def operation(kind: str, name: str, *read: str) -> Operation:
    return Operation(name, kind, read, name)  # type: ignore[arg-type]


def block(reader: Operation) -> list[Operation]:
    """A residual separable block on ``x``, which ``reader`` follows."""
    return [
        convolution("depthwise", "x", depthwise=True),
        operation("relu", "inner", "depthwise"),
        convolution("pointwise", "inner"),
        operation("sum", "sum", "pointwise", "x"),
        operation("relu", "out", "sum"),
        reader,
    ]


def test_a_residual_block_is_quantised_with_its_shortcut() -> None:
    found = find(block(convolution("next", "out")), ["next"])
    assert found == Places({"depthwise": "x", "pointwise": "inner", "next": "out"}, {"sum": "x"})
    assert found.tensors == ["x", "inner", "out"]


def test_a_convolution_of_one_pixel_stays_in_float() -> None:
    assert not find([convolution("pixel", "x", pixels=1)], ["pixel"]).convolutions


@pytest.mark.parametrize("reader", ["other", "resize"])
def test_a_depthwise_convolution_that_something_reads_in_float_stays_in_float(reader: str) -> None:
    graph = [convolution("depthwise", "x", depthwise=True), operation("relu", "y", "depthwise")]
    quantised = find([*graph, convolution("next", "y")], ["next"])
    assert set(quantised.convolutions) == {"depthwise", "next"}
    also_read = find([*graph, convolution("next", "y"), operation(reader, "end", "y")], ["next", "end"])
    assert set(also_read.convolutions) == {"next"}
    assert not find(graph, ["y"]).convolutions, "it leaves the graph"


def test_a_chain_of_depthwise_convolutions_falls_back_as_one() -> None:
    graph = [
        convolution("a", "x", depthwise=True),
        convolution("b", "a", depthwise=True),
        operation("other", "end", "b"),
    ]
    assert not find(graph, ["end"]).convolutions


def test_what_is_left_in_float_takes_its_depthwise_convolution_along() -> None:
    found = find(block(convolution("next", "out")), ["next"], in_float={"pointwise"})
    assert set(found.convolutions) == {"next"}
    assert not found.shortcuts, "the sum's convolution is in float"


def test_sums_of_resized_maps_and_of_products_stay_in_float() -> None:
    graph = [
        convolution("lateral", "x"),
        operation("resize", "up", "low"),
        operation("sum", "top", "up", "lateral"),
        convolution("reads_up", "up"),
        operation("other", "product", "y", "y"),
        convolution("reads_product", "product"),
        operation("sum", "gated", "product", "y"),
    ]
    assert find(graph, ["top", "gated"]).shortcuts == {}


def test_a_shortcut_that_no_convolution_quantises_stays_in_float() -> None:
    graph = [convolution("only", "x"), operation("sum", "sum", "only", "y")]
    assert find(graph, ["sum"]).shortcuts == {}
