"""The kernels that TensorRT is expected to launch for a graph, and what keeps operators from joining others.

The rules, each from NVIDIA's documentation ("Layer Fusion Catalog", "Explicit quantization" with its Q/DQ
placement recommendations) or seen in what TensorRT-RTX 1.7 builds (marked *seen*):

- A convolution takes its bias, then one sum with a tensor of the same shape, then activations of one input.
- An INT8 convolution (its data and weights are dequantised) also takes the Quantize that alone reads the
  result. The sum's other operand decides the precision of what is written: in float, the Quantize stays
  outside; in INT8, the sum joins only when a Quantize follows.
- Dequantize costs nothing where an INT8 convolution, such a sum or a pointwise kernel reads it.
- Operators that compute pixel by pixel join each other; Cast, Slice, transposes, sub-pixel shuffles and
  Resize between them join, and a kernel may write several of its tensors (*seen*).
- A reshape moves nothing. Poolings and matrix products are kernels of their own; reductions of one tensor are
  one kernel, with a cast before them and an activation behind (*seen*).

What a GPU really does can differ: kernels that change a tensor's layout are not foreseen here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from .shapes import Shapes

# Change the shape only: no kernel runs and no byte moves.
VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})

WEIGHTED = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
SUMS = frozenset({"Add", "Sum", "Min", "Max"})
_ACTIVATIONS = ("Relu", "LeakyRelu", "Clip", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Gelu", "Erf")
_ARITHMETIC = ("Sub", "Mul", "Div", "Pow", "Sqrt", "Exp", "Neg", "Reciprocal", "Where", "BatchNormalization")
_COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal")
_MOVES = ("Cast", "Slice", "Split", "Concat", "Transpose", "DepthToSpace", "SpaceToDepth", "Resize")

_REDUCTIONS = frozenset({"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"})

# These join each other to one kernel.
JOINING = frozenset({*SUMS, *_ACTIVATIONS, *_ARITHMETIC, *_COMPARISONS, *_MOVES, "QuantizeLinear"})


@dataclass(frozen=True)
class Kernel:
    """One expected launch.

    Attributes:
        name: of its first operator.
        nodes: the operators in the graph's order; Dequantize nodes that it reads through are not among them.
        int8: whether it is a convolution or matrix product in INT8.
        reads: tensors that it reads from memory, weights included, as they are stored: in INT8 where a
            Dequantize lies between.
        writes: tensors that others read, or that leave the graph.
    """

    name: str
    nodes: tuple[NodeProto, ...]
    int8: bool
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    @property
    def operators(self) -> tuple[str, ...]:
        """Types of the operators."""
        return tuple(node.op_type for node in self.nodes)


@dataclass(frozen=True)
class Stop:
    """Why the operator ``at`` did not join the kernel that made what it reads."""

    at: str
    reason: str


@dataclass(frozen=True)
class Launches:
    """The kernels of one frame in order, and where a fusion was stopped by what follows a convolution."""

    kernels: tuple[Kernel, ...]
    stops: tuple[Stop, ...]


def expected(model: ModelProto) -> Launches:
    """The launches of ``model``, a graph of fixed shapes."""
    return _Fusion(model).run()


class _Fusion:
    """Groups the nodes of one graph.

    A tensor is known by its root: what was stored, before any view or Dequantize.
    """

    def __init__(self, model: ModelProto) -> None:
        graph = model.graph
        self._shapes = Shapes(model)
        self._constant = {tensor.name for tensor in graph.initializer} | {""}
        self._source: dict[str, str] = {}  # of what a view or a Dequantize makes: what that reads
        self._dequantises: dict[str, NodeProto] = {}  # of activations, by what they make
        self._nodes: list[NodeProto] = []
        for node in graph.node:
            if node.op_type in VIEWS or node.op_type == "DequantizeLinear":
                self._source[node.output[0]] = node.input[0]
            if all(name in self._constant for name in node.input):
                self._constant.update(node.output)
            elif node.op_type == "DequantizeLinear":
                self._dequantises[node.output[0]] = node
            elif node.op_type not in VIEWS:
                self._nodes.append(node)
        self._makers = {name: node for node in self._nodes for name in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in self._nodes:
            for name in self._inputs(node):
                self._readers.setdefault(name, []).append(node)
        self._outputs = {self._root(value.name) for value in graph.output}
        self._group: dict[str, int] = {}  # of a node, known by its first output
        self._products: set[int] = set()  # groups that grew from a convolution or matrix product
        self._stops: list[Stop] = []

    def run(self) -> Launches:
        """All kernels."""
        for node in self._nodes:
            if node.op_type in WEIGHTED:
                self._grow(node)
        for node in self._nodes:
            if node.output[0] not in self._group:
                self._start(node)
                if node.op_type in JOINING | _REDUCTIONS:
                    self._join(node)
        return Launches((*self._kernels(),), tuple(self._stops))

    def _root(self, name: str) -> str:
        while name in self._source:
            name = self._source[name]
        return name

    def _inputs(self, node: NodeProto) -> list[str]:
        """The roots that a node reads, constants left out."""
        return [self._root(name) for name in node.input if name not in self._constant]

    def _is_int8(self, product: NodeProto) -> bool:
        """Whether a convolution or matrix product reads dequantised data and dequantised weights."""
        data, weights, *_ = product.input
        return data in self._dequantises and weights in self._source

    def _start(self, *nodes: NodeProto) -> int:
        group = len(self._group)  # larger than all before
        self._group.update((node.output[0], group) for node in nodes)
        return group

    # Convolutions and matrix products with what they take along.

    def _grow(self, product: NodeProto) -> None:
        """Make the kernel of ``product``."""
        int8, taken, writes_int8 = self._is_int8(product), [product], self._is_int8(product)
        while (reader := self._only_reader(taken[-1])) is not None:
            others = [name for name in self._inputs(reader) if name != self._root(taken[-1].output[0])]
            if reader.op_type in SUMS and others and len(taken) == 1:
                if reason := self._against_sum(product, reader, others):
                    self._stops.append(Stop(reader.name, reason))
                    break
                writes_int8 = self._reads_int8(reader, others[0])
            elif reader.op_type == "QuantizeLinear":
                if writes_int8:
                    taken.append(reader)
                else:
                    why = "the sum's other operand" if int8 else product.name
                    self._stops.append(Stop(reader.name, f"{why} is in float, so the result is too"))
                break
            elif others or reader.op_type not in _ACTIVATIONS:
                break
            taken.append(reader)
        self._products.add(self._start(*taken))

    def _only_reader(self, node: NodeProto) -> NodeProto | None:
        """The one operator that reads what ``node`` makes; None when others do, too."""
        name = self._root(node.output[0])
        readers = self._readers.get(name, [])
        if name not in self._outputs and len(readers) == 1:
            return readers[0] if readers[0].output[0] not in self._group else None
        for reader in readers:
            if reader.op_type == "QuantizeLinear":
                self._stops.append(Stop(reader.name, f"its input is also read by {self._floats(name)}"))
        return None

    def _floats(self, name: str) -> str:
        """Who reads a tensor in float, in words; empty when all quantise it."""
        found = [node.name for node in self._readers.get(name, []) if node.op_type != "QuantizeLinear"]
        return ", ".join([*found, *(["the outside"] if name in self._outputs else [])])

    def _reads_int8(self, node: NodeProto, root: str) -> bool:
        """Whether ``node`` reads a tensor through a Dequantize."""
        return any(name in self._dequantises for name in node.input if self._root(name) == root)

    def _against_sum(self, product: NodeProto, add: NodeProto, others: list[str]) -> str:
        """What keeps a sum from joining the product before it; empty when nothing does."""
        shapes = {self._shapes.of(name) for name in (product.output[0], add.output[0], others[0])}
        if len(others) > 1 or len(shapes) > 1:
            return "the sum broadcasts"
        if not self._reads_int8(add, others[0]):
            return ""
        if not self._is_int8(product):
            return f"the sum's other operand is in INT8, {product.name} in float"
        last = add
        while (reader := self._only_reader(last)) is not None and reader.op_type in _ACTIVATIONS:
            last = reader
        by = self._floats(self._root(last.output[0]))
        return f"the sum's other operand is in INT8, but the sum is read in float, by {by}" if by else ""

    # All that is no product.

    def _join(self, node: NodeProto) -> None:
        """Join ``node`` to the kernels that made what it reads, as far as they can run as one."""
        mine = self._group[node.output[0]]
        for other in self._joinable(node):
            theirs = self._group.get(other.output[0], mine)
            if theirs not in self._products | {mine} and self._can_run(mine, theirs):
                self._group = {key: mine if group == theirs else group for key, group in self._group.items()}

    def _joinable(self, node: NodeProto) -> list[NodeProto]:
        """The operators whose kernel ``node`` may join."""
        inputs = self._inputs(node)
        makers = [self._makers[name] for name in inputs if name in self._makers]
        if node.op_type in _REDUCTIONS:
            beside = [reader for reader in self._readers[inputs[0]] if reader.op_type in _REDUCTIONS]
            return [*(maker for maker in makers if maker.op_type == "Cast"), *beside]
        takes = JOINING | (_REDUCTIONS if node.op_type in _ACTIVATIONS else set())
        return [maker for maker in makers if maker.op_type in takes]

    def _can_run(self, one: int, other: int) -> bool:
        """Whether two groups can be one kernel: nothing that waits for the one is waited for by the other."""
        alone = {node.output[0]: -1 - index for index, node in enumerate(self._nodes)}  # not grouped yet
        merged = alone | {key: one if group == other else group for key, group in self._group.items()}
        waits: dict[int, set[int]] = {group: set() for group in merged.values()}
        for node in self._nodes:
            sources = {self._makers[name].output[0] for name in self._inputs(node) if name in self._makers}
            waits[merged[node.output[0]]] |= {merged[source] for source in sources}
        for group, sources in waits.items():
            sources.discard(group)
        while ready := [group for group, sources in waits.items() if not sources]:
            waits = {group: sources - set(ready) for group, sources in waits.items() if sources}
        return not waits

    def _kernels(self) -> Iterator[Kernel]:
        members: dict[int, list[NodeProto]] = {}
        for node in self._nodes:
            group = self._group[node.output[0]]
            for lone in self._lone_dequantises(node):
                members[-1 - len(members)] = [lone]
            members[group] = [*members.pop(group, []), node]  # in the order of their last nodes
        for nodes in members.values():
            made = [name for node in nodes for name in node.output]
            inside = {node.output[0] for node in nodes}
            read = dict.fromkeys(self._root(name) for node in nodes for name in node.input if name)
            writes = [
                name
                for name in made
                if name in self._outputs
                or any(reader.output[0] not in inside for reader in self._readers.get(name, []))
            ]
            yield Kernel(
                nodes[0].name or nodes[0].op_type,
                tuple(nodes),
                nodes[0].op_type in WEIGHTED and self._is_int8(nodes[0]),
                tuple(name for name in read if name not in made),
                tuple(writes) or tuple(nodes[-1].output),
            )

    def _lone_dequantises(self, node: NodeProto) -> Iterator[NodeProto]:
        """The Dequantize nodes before ``node`` that it cannot take in; each is a kernel of its own, once."""
        if node.op_type in JOINING or (node.op_type in WEIGHTED and self._is_int8(node)):
            return
        for name in node.input:
            if (lone := self._dequantises.pop(name, None)) is not None:
                self._stops.append(Stop(lone.name, f"{node.name} reads it in float"))
                yield lone
