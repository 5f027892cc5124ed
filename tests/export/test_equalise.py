"""Equalisation: the same values, with channels of one range."""

from __future__ import annotations

import numpy as np
import onnx
from small_network import SIZE

from microaunet_export.calibrate import channel_highs
from microaunet_export.equalise import MOST, equalise, exponents, pairs
from microaunet_export.graph import GraphRunner
from microaunet_runtime import synthetic

FRAMES = [synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(3)]


def test_the_graph_computes_the_very_same_values(graphs: dict[int, onnx.ModelProto]) -> None:
    rng = np.random.default_rng(0)
    weights = {tensor.name: tensor for tensor in graphs[17].graph.initializer}
    steps = {
        name: [int(step) for step in rng.integers(0, MOST + 1, weights[first.input[1]].dims[0])]
        for name, (first, _) in pairs(graphs[17]).items()
    }
    level = equalise(graphs[17], steps)
    changed = [
        a for a, b in zip(level.graph.initializer, graphs[17].graph.initializer, strict=True) if a != b
    ]
    assert len(changed) > len(steps)
    before, after = GraphRunner(graphs[17]), GraphRunner(level)
    for frame in FRAMES:
        np.testing.assert_array_equal(before(frame)["probability"], after(frame)["probability"])


def test_only_convolutions_that_are_joined_by_a_relu_alone_are_touched(
    graphs: dict[int, onnx.ModelProto],
) -> None:
    found = pairs(graphs[17])
    assert any(first.name.startswith("stem") for first, _ in found.values())
    assert any("pointwise" in second.name for _, second in found.values())
    assert "head/Conv" not in found, "what the head reads is a sum"


def test_channels_come_to_one_range(graphs: dict[int, onnx.ModelProto]) -> None:
    highest = channel_highs(graphs[17], FRAMES, lambda: None)
    steps = exponents(graphs[17], highest)
    level = channel_highs(equalise(graphs[17], steps), FRAMES, lambda: None)
    for name, chosen in steps.items():
        np.testing.assert_allclose(level[name], highest[name] * np.exp2(chosen), rtol=1e-6)
        assert level[name].max() <= highest[name].max() * 2**0.5 + 1e-6
    name = next(name for name in steps if "depthwise" in name)
    alive = (highest[name] > highest[name].max() / 2**MOST) & (highest[name] > 0)
    assert level[name][alive].max() / level[name][alive].min() <= 2.01
