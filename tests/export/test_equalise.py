"""Equalisation: the same values, with channels of one range."""

from __future__ import annotations

import numpy as np
import onnx
from small_network import SIZE

from microaunet_export.calibrate import channel_highs
from microaunet_export.equalise import MOST, Stream, equalise, exponents, streams
from microaunet_export.graph import GraphRunner
from microaunet_runtime.images import synthetic

FRAMES = [synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(3)]


def channels(stream: Stream, model: onnx.ModelProto) -> int:
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    return int(weights[stream.writers[0].input[1]].dims[0])


def test_the_graph_computes_the_very_same_values(graphs: dict[int, onnx.ModelProto]) -> None:
    rng = np.random.default_rng(0)
    steps = {
        stream.name: [int(step) for step in rng.integers(0, MOST + 1, channels(stream, graphs[17]))]
        for stream in streams(graphs[17])
    }
    level = equalise(graphs[17], steps)
    tensors = zip(level.graph.initializer, graphs[17].graph.initializer, strict=True)
    assert sum(one != other for one, other in tensors) > len(steps) > 5
    before, after = GraphRunner(graphs[17]), GraphRunner(level)
    for frame in FRAMES:
        np.testing.assert_array_equal(before(frame)["probability"], after(frame)["probability"])


def test_streams_follow_shortcuts_and_stop_at_gates(graphs: dict[int, onnx.ModelProto]) -> None:
    found = {stream.name: stream for stream in streams(graphs[17])}
    stem = next(stream for name, stream in found.items() if name.startswith("stem"))
    assert [len(stem.writers), len(stem.readers)] == [1, 1]
    assert any(len(stream.writers) > 1 and len(stream.readers) > 2 for stream in found.values())
    writers = {node.name for stream in found.values() for node in stream.writers}
    assert not any(name.startswith("attention") for name in writers), "a sigmoid follows"
    assert "head/Conv" not in writers, "its output leaves the graph"


def test_channels_come_to_one_range(graphs: dict[int, onnx.ModelProto]) -> None:
    highest = channel_highs(graphs[17], FRAMES)
    steps = exponents(graphs[17], highest)
    level = channel_highs(equalise(graphs[17], steps), FRAMES)
    stem = next(stream for stream in streams(graphs[17]) if stream.name.startswith("stem"))
    reader = stem.readers[0].name
    np.testing.assert_allclose(level[reader], highest[reader] * np.exp2(steps[stem.name]), rtol=1e-6)
    alive = highest[reader] > highest[reader].max() / 2**MOST
    assert level[reader][alive].max() / level[reader][alive].min() <= 2.01
