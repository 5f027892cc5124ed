"""The FP16-typed graph: half-precision weights and activations, float32 only where half is not enough.

ONNX Runtime's own converter rounds the probability to half precision at the output; this one leaves
the end of the graph in float32.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from microaunet_runtime.errors import InputError

from .graph import MASK, PRESENCE, PROBABILITY, clean

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16

# Norms over a whole map sum thousands of squares, which overflows a half (TensorRT issues 2691 and 3956).
FLOAT_OPERATORS = frozenset({"InstanceNormalization", "GroupNormalization"})

# Inputs that ONNX defines as float32 whatever the type of the data: Resize's region and scales.
FIXED_INPUTS = {"Resize": frozenset({1, 2})}


def to_half(model: ModelProto, opset: int) -> ModelProto:
    """``model`` (from :func:`~.graph.export_graph`) with float16 inside and the same names.

    The first cast turns the frame's bytes into half precision, which is exact. The last sigmoid and the
    threshold stay in float32, so that the mask is cut from the same probability that is returned; so do the
    few sums that compute the presence.

    Raises:
        InputError: a weight lies outside the range of float16.
    """
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    floats = {
        value.name
        for value in (*inferred.graph.value_info, *inferred.graph.output)
        if value.type.tensor_type.elem_type == FLOAT
    }
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = _tail(model)
    types: dict[str, int] = {}  # of every float activation, by name
    initializers: dict[str, TensorProto] = {}
    nodes: list[NodeProto] = []
    casts: dict[tuple[str, int], str] = {}

    for original in model.graph.node:
        node = NodeProto()
        node.CopyFrom(original)
        in_float = node.name in kept or node.op_type in FLOAT_OPERATORS
        wanted = FLOAT if in_float else HALF
        for index, name in enumerate(node.input):
            target = FLOAT if index in FIXED_INPUTS.get(node.op_type, ()) else wanted
            if name in weights:
                tensor = _weight(weights[name], target)
                initializers[tensor.name] = tensor
                node.input[index] = tensor.name
            elif name in floats and types[name] != target:
                if (name, target) not in casts:
                    casts[name, target] = f"{name}.{'float' if target == FLOAT else 'half'}"
                    cast = casts[name, target]
                    nodes.append(helper.make_node("Cast", [name], [cast], name=cast, to=target))
                node.input[index] = casts[name, target]
        if node.op_type == "Cast" and node.attribute[0].i == FLOAT:
            node.attribute[0].i = wanted
        types.update((name, wanted) for name in node.output if name in floats)
        nodes.append(node)

    half = ModelProto()
    half.CopyFrom(model)
    del half.graph.node[:]
    half.graph.node.extend(nodes)
    del half.graph.initializer[:]
    half.graph.initializer.extend(initializers[name] for name in sorted(initializers))
    return clean(half, opset)


def _tail(model: ModelProto) -> set[str]:
    """Names of the nodes that make the probability, and what only mask and presence need."""
    makers = {tensor: node for node in model.graph.node for tensor in node.output}
    before = _behind(PROBABILITY, makers)
    return {makers[PROBABILITY].name} | (_behind(MASK, makers) | _behind(PRESENCE, makers)) - before


def _behind(output: str, makers: dict[str, NodeProto]) -> set[str]:
    """Names of the nodes that an output is computed by."""
    found: set[str] = set()
    waiting = [output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            waiting += node.input
    return found


def _weight(tensor: TensorProto, target: int) -> TensorProto:
    """``tensor`` in the wanted type; float32 keeps its name, so that a weight used in both types has two."""
    if tensor.data_type != FLOAT or target == FLOAT:
        return tensor
    with np.errstate(over="ignore"):
        values = numpy_helper.to_array(tensor).astype(np.float16)
    if not np.isfinite(values).all():
        raise InputError(
            f"the weights of {tensor.name} do not fit float16 (above 65504): train again with weight decay"
        )
    return numpy_helper.from_array(values, f"{tensor.name}.half")
