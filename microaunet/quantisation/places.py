"""What is quantised to INT8, decided by the shape of a graph alone; for ONNX graphs and PyTorch's alike.

The rules keep each convolution, with the sum and activation behind it, one kernel of TensorRT:

- A convolution reads its data and weights in INT8, unless its map is one pixel: there INT8 gains nothing.
- A depthwise convolution does so only when all that read it, through ReLU, read it in INT8: TensorRT 8.6
  has no kernel for one that writes float (TensorRT issue 4060).
- A sum takes its shortcut in INT8 where its other operand comes from an INT8 convolution: the fused kernel
  writes in the shortcut's precision. Resized shortcuts stay in float.
- All else is float: products, means over a map, sums of other things.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["convolution", "relu", "sum", "resize", "other"]


@dataclass(frozen=True)
class Operation:
    """A node of a graph, as far as the rules look at it.

    Attributes:
        inputs: names of the tensors that it reads, its data first; no weights.
        output: name of the first tensor that it makes.
        depthwise: for a convolution, whether each output channel reads one input channel.
        pixels: height times width of the output.
    """

    name: str
    kind: Kind
    inputs: tuple[str, ...]
    output: str
    depthwise: bool = False
    pixels: int = 0


@dataclass(frozen=True)
class Places:
    """What is quantised.

    Attributes:
        convolutions: by name, the tensor that the convolution reads in INT8, in the graph's order.
        shortcuts: by name of a sum, the tensor that it reads in INT8; a convolution reads the same one.
    """

    convolutions: Mapping[str, str]
    shortcuts: Mapping[str, str]

    @property
    def tensors(self) -> list[str]:
        """The quantised tensors, each once, in the graph's order."""
        return list(dict.fromkeys(self.convolutions.values()))


def find(graph: Sequence[Operation], outputs: Collection[str], in_float: Collection[str] = ()) -> Places:
    """The places to quantise in ``graph``.

    Args:
        graph: in an order in which it can be computed.
        outputs: names of the tensors that leave the graph.
        in_float: names of convolutions to leave alone.
    """
    makers = {operation.output: operation for operation in graph}
    chosen = {
        operation.name: operation.inputs[0]
        for operation in graph
        if operation.kind == "convolution" and operation.pixels > 1 and operation.name not in in_float
    }
    depthwise = [operation for operation in graph if operation.depthwise]
    while True:
        shortcuts = _shortcuts(graph, makers, chosen)
        refused = {
            operation.name
            for operation in depthwise
            if operation.name in chosen
            and not _only_read_in_int8(operation.output, graph, outputs, chosen, shortcuts)
        }
        if not refused:
            return Places(chosen, shortcuts)
        chosen = {name: tensor for name, tensor in chosen.items() if name not in refused}


def _shortcuts(
    graph: Sequence[Operation], makers: Mapping[str, Operation], chosen: Mapping[str, str]
) -> dict[str, str]:
    """By sum, the operand that is quantised for a convolution and meets another one's result."""
    quantised = set(chosen.values())
    found = {}
    for operation in graph:
        if operation.kind != "sum" or len(operation.inputs) != 2:
            continue
        for shortcut, other in (operation.inputs, operation.inputs[::-1]):
            resized = shortcut in makers and makers[shortcut].kind == "resize"
            if other in makers and makers[other].name in chosen and shortcut in quantised and not resized:
                found[operation.name] = shortcut
                break
    return found


def _only_read_in_int8(
    tensor: str,
    graph: Sequence[Operation],
    outputs: Collection[str],
    chosen: Mapping[str, str],
    shortcuts: Mapping[str, str],
) -> bool:
    """Whether all that read ``tensor``, through ReLU, read it in INT8."""
    readers = [operation for operation in graph if tensor in operation.inputs]
    if tensor in outputs or not readers:
        return False
    if len(readers) == 1 and readers[0].kind == "relu":
        return _only_read_in_int8(readers[0].output, graph, outputs, chosen, shortcuts)
    return all(tensor in (chosen.get(reader.name), shortcuts.get(reader.name)) for reader in readers)
