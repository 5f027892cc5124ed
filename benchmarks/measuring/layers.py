"""The kernels that a GPU compiler is expected to make of an ONNX graph, with what each computes and moves."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from onnx import ModelProto, NodeProto, TensorProto

from microaunet_export.coverage import POINTWISE, VIEWS, Shapes

BYTES = {"fp16": 2, "int8": 1}


@dataclass(frozen=True)
class Layer:
    """One expected kernel: an operator with the pointwise ones that are joined to it.

    Attributes:
        elements: values read and written, once each, in the network's precision.
        frame_bytes: bytes of the uint8 frame and mask.
    """

    name: str
    operators: tuple[str, ...]
    macs: int
    elements: int
    frame_bytes: int

    def bytes_moved(self, precision: str) -> int:
        """Bytes read and written once each, if everything were in ``precision``."""
        return self.elements * BYTES[precision] + self.frame_bytes


def layers(model: ModelProto) -> list[Layer]:
    """The layers of an FP32 graph of fixed shapes, in order.

    A pointwise operator joins the layer that made what it alone reads; a view (a reshape) is not a layer.
    """
    graph = model.graph
    shapes = Shapes(model)
    alias: dict[str, str] = {}
    nodes: list[NodeProto] = []
    for node in graph.node:
        if node.op_type in VIEWS:
            alias.update(
                {name: alias.get(node.input[0], node.input[0]) for name in node.output if node.input}
            )
        else:
            nodes.append(node)
    inputs = [[alias.get(name, name) for name in node.input if name] for node in nodes]
    readers = Counter(name for names in inputs for name in names)

    groups: list[list[int]] = []
    made_by: dict[str, int] = {}
    for index, node in enumerate(nodes):
        joinable = [made_by[name] for name in inputs[index] if name in made_by and readers[name] == 1]
        if node.op_type in POINTWISE and joinable:
            group = max(joinable)  # the last to run: what the others made is read from memory
        else:
            group = len(groups)
            groups.append([])
        groups[group].append(index)
        made_by.update(dict.fromkeys(node.output, group))

    read_by: dict[str, set[int]] = defaultdict(set)
    for name in (alias.get(value.name, value.name) for value in graph.output):
        read_by[name].add(-1)  # the outside
    for group, members in enumerate(groups):
        for name in (name for index in members for name in inputs[index]):
            read_by[name].add(group)
    frames = {
        value.name
        for value in (*graph.input, *graph.output)
        if value.type.tensor_type.elem_type == TensorProto.UINT8
    }
    found = []
    for group, members in enumerate(groups):
        read = {name for index in members for name in inputs[index] if made_by.get(name) != group}
        made = {name for index in members for name in nodes[index].output}
        moved = read | {name for name in made if read_by[name] - {group}}
        found.append(
            Layer(
                name=nodes[members[0]].name or f"layer {group}",
                operators=tuple(nodes[index].op_type for index in members),
                macs=sum(shapes.macs(nodes[index]) for index in members),
                elements=sum(shapes.elements(name) for name in moved - frames),
                frame_bytes=sum(shapes.elements(name) for name in moved & frames),
            )
        )
    return found
