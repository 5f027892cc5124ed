"""A network's graph as PyTorch traces it, as far as quantisation looks at it."""

from __future__ import annotations

import inspect
import math
import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from microaunet_runtime.errors import InputError

from .places import Kind, Operation

_KINDS: dict[Any, Kind] = {
    nn.Conv2d: "convolution",
    **dict.fromkeys((nn.ReLU, nn.ReLU6, F.relu, F.relu6, torch.relu, "relu", "relu_"), "relu"),
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), "sum"),
    F.interpolate: "resize",
}


class TracedGraph:
    """What a network computes, node by node; with its stage features, where it gives them.

    Attributes:
        graph: the nodes in order; a tensor has the name of the node that makes it.
        flags: what the network is called with besides the frames: whether to return features, if it can.
        paths: by node of a convolution, the module's path; its further calls are numbered, ``path_1``, as the
            ONNX exporter does.
        modules: by node of a convolution, the module's path.
        norms: by node of a convolution, the path of the BatchNorm that alone reads it.

    Raises:
        InputError: the network decides what to compute by its data, so that there is no one graph.
    """

    def __init__(self, network: nn.Module) -> None:
        features = "return_features" in inspect.signature(network.forward).parameters
        self.flags = (True,) if features else ()
        try:
            concrete = {"return_features": True} if features else None
            self.graph = fx.Tracer().trace(network, concrete_args=concrete)
        except (fx.proxy.TraceError, TypeError) as error:
            kind = type(network).__name__
            raise InputError(f"INT8 cannot be simulated in {kind}: its graph depends on the data") from error
        modules = dict(network.named_modules())
        for node in self.graph.nodes:
            if node.op == "call_module" and isinstance(modules[str(node.target)], nn.Identity):
                node.replace_all_uses_with(node.args[0])  # the exporter leaves it out, too
                self.graph.erase_node(node)
        self.paths: dict[str, str] = {}
        self.modules: dict[str, str] = {}
        self.norms: dict[str, str] = {}
        self._results: dict[str, str] = {}  # by node of a convolution, that of its BatchNorm
        self._kinds: dict[str, Kind] = {}
        self._depthwise: set[str] = set()
        calls: dict[str, int] = {}
        for node in self.graph.nodes:
            module = modules[str(node.target)] if node.op == "call_module" else None
            self._kinds[node.name] = _KINDS.get(node.target if module is None else type(module), "other")
            if isinstance(module, nn.Conv2d):
                count = calls[node.target] = calls.get(node.target, -1) + 1
                self.modules[node.name] = str(node.target)
                self.paths[node.name] = f"{node.target}_{count}" if count else str(node.target)
                if 1 < module.groups == module.in_channels:
                    self._depthwise.add(node.name)
            elif isinstance(module, nn.BatchNorm2d):
                source = node.args[0]
                if source.name in self.paths and len(source.users) == 1:
                    self.norms[source.name] = str(node.target)
                    self._results[source.name] = node.name

    def operations(self, shapes: dict[str, torch.Size]) -> list[Operation]:
        """The graph for :func:`~.places.find`; a BatchNorm counts as part of its convolution."""
        folded = set(self._results.values())
        return [
            Operation(
                self.paths.get(node.name, node.name),
                self._kinds[node.name],
                tuple(source.name for source in node.all_input_nodes),
                self._results.get(node.name, node.name),
                depthwise=node.name in self._depthwise,
                pixels=math.prod(shapes[node.name][2:]) if node.name in self.paths else 0,
            )
            for node in self.graph.nodes
            if node.op in ("call_module", "call_function", "call_method") and node.name not in folded
        ]

    @property
    def logits(self) -> str:
        """The tensor that leaves the network; stage features do so in training only."""
        (made,) = next(node for node in self.graph.nodes if node.op == "output").args
        return str((made[0] if self.flags else made).name)


class Watched(fx.Interpreter):
    """Computes in float; afterwards ``seen`` holds every tensor by its name."""

    def __init__(self, network: nn.Module, traced: TracedGraph) -> None:
        super().__init__(network, graph=traced.graph)
        self.seen: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        """As the interpreter's."""
        made = super().run_node(n)
        if isinstance(made, Tensor):
            self.seen[n.name] = made
        return made
