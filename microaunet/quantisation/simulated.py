"""A network with INT8's rounding simulated exactly where an export puts Quantize and Dequantize."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from microaunet_runtime.errors import InputError

from . import places
from .rounding import HIGHEST, best_step, rounded, rounded_by_channel
from .tracing import TracedGraph, Watched

SPEED = 10.0  # how much faster a step's logarithm learns than a weight
SAMPLES = 1 << 10  # values of each tensor and frame by which its step is chosen


class SimulatedInt8(nn.Module):
    """``network`` as INT8 computes it: data and weights rounded, BatchNorm folded with running statistics.

    The parameters are the network's own, under ``network``, and the steps of the activations, which are
    learned with them.

    Args:
        network: float32 (N, 3, H, W) in 0..1 to logits; with ``return_features``, if it has that, stage
            features, too.
        frames: float32 (N, 3, H, W) in 0..1, real ones, to choose the steps by.
        in_float: paths of convolutions to leave alone.

    Raises:
        InputError: the network decides what to compute by its data, or has no convolution of such a path.
    """

    def __init__(self, network: nn.Module, frames: Tensor, in_float: Collection[str] = ()) -> None:
        super().__init__()
        self.network = network.eval()
        self.traced = traced = TracedGraph(network)
        if unknown := set(in_float) - set(traced.paths.values()):
            raise InputError(
                f"int8_in_float: there is no convolution {min(unknown)!r}; choose among "
                f"{', '.join(traced.paths.values())}"
            )
        shapes = {name: value.shape for name, value in self._watch(frames[:1]).items()}
        self.places = places.find(traced.operations(shapes), {traced.logits}, in_float)
        self.learned = nn.Parameter(self._choose_steps(frames).log() / SPEED)

    @property
    def steps(self) -> Tensor:
        """The step of every quantised tensor, float32 (T,), in the order of ``places.tensors``."""
        return (SPEED * self.learned).exp()

    @property
    def presence(self) -> nn.Module | None:
        """The network's presence head; None when it has none."""
        return getattr(self.network, "presence", None)

    def forward(self, x: Tensor, return_features: bool = False) -> Any:
        """As ``network``."""
        return self._compute(_Rounded(self), x, return_features)

    def compute_in_float(self, x: Tensor, return_features: bool = False) -> Any:
        """As ``network`` after :meth:`settle`: with rounded weights, but no data rounded."""
        return self._compute(_Rounded(self, data=False), x, return_features)

    def _compute(self, interpreter: _Rounded, x: Tensor, return_features: bool) -> Any:
        found = interpreter.run(x, *self.traced.flags)
        return found[0] if self.traced.flags and not return_features else found

    @torch.no_grad()
    def settle(self) -> None:
        """Set the network's weights to what INT8 makes of them, so that they lose nothing any more."""
        modules = dict(self.network.named_modules())
        for name, path in self.traced.paths.items():
            conv, norm = modules[self.traced.modules[name]], modules.get(self.traced.norms.get(name, ""))
            assert isinstance(conv, nn.Conv2d)
            if path in self.places.convolutions:
                gain = _gain(norm)[:, None, None, None] if isinstance(norm, nn.BatchNorm2d) else 1
                folded = rounded_by_channel(conv.weight * gain) / gain
                conv.weight.copy_(torch.where(folded.isfinite(), folded, conv.weight))

    def facts(self) -> dict[str, Any]:
        """What an export must know, for the card.

        Returns:
            ``ranges``: by path of a convolution, the lowest and the highest value that it reads, frames being
            in 0..1; ``in_float``: paths of all others, a head's among them.
        """
        steps = dict(zip(self.places.tensors, self.steps.tolist(), strict=True))
        return {
            "ranges": {
                path: (-HIGHEST * steps[tensor], HIGHEST * steps[tensor])
                for path, tensor in self.places.convolutions.items()
            },
            "in_float": [
                path
                for path, module in self.network.named_modules()
                if isinstance(module, nn.Conv2d) and path not in self.places.convolutions
            ],
        }

    @torch.no_grad()
    def _watch(self, frames: Tensor) -> dict[str, Tensor]:
        """All tensors of a computation in float, by name."""
        watched = Watched(self.network, self.traced)
        watched.run(frames, *self.traced.flags)
        return watched.seen

    def _choose_steps(self, frames: Tensor) -> Tensor:
        """The step of every quantised tensor, float32 (T,)."""
        samples: dict[str, list[Tensor]] = {name: [] for name in self.places.tensors}
        for frame in frames:
            seen = self._watch(frame[None])
            for name, kept in samples.items():
                values = seen[name].flatten()
                kept.append(values[:: max(1, len(values) // SAMPLES)].clone())
        return torch.stack([best_step(torch.cat(kept)) for kept in samples.values()])


class _Rounded(fx.Interpreter):
    """One computation with all that is quantised rounded; without ``data`` only the weights are."""

    def __init__(self, owner: SimulatedInt8, data: bool = True) -> None:
        super().__init__(owner.network, graph=owner.traced.graph)
        self._data = data
        self._places, self._traced = owner.places, owner.traced
        self._steps = dict(zip(owner.places.tensors, owner.steps, strict=True))
        self._kept: dict[str, Tensor] = {}

    def _round(self, name: str, value: Tensor) -> Tensor:
        """The tensor of that name, rounded once for all that read it."""
        if not self._data:
            return value
        if name not in self._kept:
            self._kept[name] = rounded(value, self._steps[name])
        return self._kept[name]

    def run_node(self, n: fx.Node) -> Any:
        """As the interpreter's."""
        arguments, _ = self.fetch_args_kwargs_from_env(n)
        module = self.module.get_submodule(str(n.target)) if n.op == "call_module" else None
        if isinstance(module, nn.Conv2d):
            tensor = self._places.convolutions.get(self._traced.paths[n.name])
            norm = self._norm_behind(n)
            if tensor is not None:
                return _convolve(self._round(tensor, arguments[0]), module, norm)
        if isinstance(module, nn.BatchNorm2d):
            (source,) = n.all_input_nodes
            folded = self._traced.paths.get(source.name) in self._places.convolutions
            return arguments[0] if folded and self._norm_behind(source) else _normalise(arguments[0], module)
        if (shortcut := self._places.shortcuts.get(n.name)) is not None:
            names = [argument.name for argument in n.all_input_nodes]
            one, other = (
                self._round(name, value) if name == shortcut else value
                for name, value in zip(names, arguments, strict=True)
            )
            return one + other
        return super().run_node(n)

    def _norm_behind(self, convolution: fx.Node) -> nn.BatchNorm2d | None:
        """The BatchNorm that alone reads a convolution."""
        path = self._traced.norms.get(convolution.name)
        norm = self.module.get_submodule(path) if path else None
        return norm if isinstance(norm, nn.BatchNorm2d) else None


def _convolve(x: Tensor, conv: nn.Conv2d, norm: nn.BatchNorm2d | None) -> Tensor:
    """A convolution with rounded weights, the BatchNorm behind it folded in."""
    weight, bias = conv.weight, conv.bias
    if norm is not None:
        assert norm.running_mean is not None
        gain = _gain(norm)
        weight = weight * gain[:, None, None, None]
        bias = norm.bias + gain * ((0 if bias is None else bias) - norm.running_mean)
    return F.conv2d(
        x, rounded_by_channel(weight), bias, conv.stride, conv.padding, conv.dilation, conv.groups
    )


def _gain(norm: nn.BatchNorm2d) -> Tensor:
    """What a BatchNorm multiplies each channel with, float32 (C,)."""
    assert norm.running_var is not None  # as all of these networks keep statistics
    return norm.weight * torch.rsqrt(norm.running_var + norm.eps)


def _normalise(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """A BatchNorm with its running statistics, also while training."""
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
