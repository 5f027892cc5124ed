"""What was simulated in training is what is exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_network import SIZE, lively_network

from microaunet import checkpoint
from microaunet.models.fuse import deploy
from microaunet.quantisation.simulated import SimulatedInt8
from microaunet_export import calibrate
from microaunet_export.forms import measure_ranges
from microaunet_export.graph import GraphRunner, export_graph
from microaunet_export.quantize import find_places, quantize
from microaunet_export.rewrite import for_gpu
from microaunet_export.subject import of_weights
from microaunet_export.trained import module_path, trained_ranges
from microaunet_runtime.errors import InputError
from microaunet_runtime.images import synthetic


@pytest.fixture(scope="module", params=["edge", "edge-presence"])
def simulated(request: pytest.FixtureRequest) -> SimulatedInt8:
    frames = np.stack([synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(6)])
    images = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    return SimulatedInt8(lively_network(request.param), images)


@pytest.fixture(scope="module")
def model(simulated: SimulatedInt8) -> onnx.ModelProto:
    return for_gpu(export_graph(deploy(simulated.network), SIZE, SIZE, 0.5, 17), 17)


def card(simulated: SimulatedInt8) -> dict[str, object]:
    """What the weights' card says."""
    return simulated.facts()


def test_names_of_nodes_give_the_paths_of_modules() -> None:
    assert module_path("stages.0/stages.0.1/depthwise/depthwise.0/Conv") == "stages.0.1.depthwise.0"
    assert module_path("stem/stem.0/Conv") == "stem.0"
    assert module_path("head/Conv") == "head"


def test_both_graphs_are_quantised_at_the_same_places(
    simulated: SimulatedInt8, model: onnx.ModelProto
) -> None:
    exported = find_places(model)
    assert [module_path(name) for name in exported.convolutions] == list(simulated.places.convolutions)
    assert len(exported.shortcuts) == len(simulated.places.shortcuts) == 10


def test_the_exported_graph_computes_what_was_simulated(
    simulated: SimulatedInt8, model: onnx.ModelProto
) -> None:
    trained = trained_ranges(card(simulated), model)
    assert trained is not None
    ranges = trained.ranges
    first = next(iter(find_places(model).convolutions))
    assert 200 < ranges[first][1] <= 255.01, "a frame's bytes"
    runner = GraphRunner(quantize(model, 17, ranges))
    for seed in (20, 21):
        frame = synthetic.frame(seed, SIZE, SIZE)[0]
        with torch.inference_mode():
            logits = simulated(torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255)
            rounding = (
                simulated.network(torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255) - logits
            )
        found = runner(frame)["probability"]
        # A value on the edge between two steps may fall to either side; the rest agrees.
        difference = np.abs(found - torch.sigmoid(logits).numpy())
        assert np.quantile(difference, 0.9) < 0.2 * float(rounding.abs().quantile(0.9))


def test_weights_that_were_trained_in_int8_are_exported_with_their_ranges(
    simulated: SimulatedInt8, tmp_path: Path
) -> None:
    path = tmp_path / "trained.safetensors"
    architecture = "edge-presence" if simulated.presence is not None else "edge"
    checkpoint.save(path, simulated.network, architecture, {"size": SIZE, "int8": card(simulated)})
    synthetic.write_set(tmp_path, 8, seed=50, height=SIZE, width=SIZE)
    images = calibrate.find(tmp_path)
    measured = measure_ranges(of_weights(str(path)), images, lambda line: None)
    assert set(measured.methods) == {"minmax", "percentile", "entropy", "error", "trained"}
    assert (measured.equalisation == {}) == (measured.method == "trained")


def test_what_training_left_in_float_stays_so(simulated: SimulatedInt8, tmp_path: Path) -> None:
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    path, kept = tmp_path / "trained.safetensors", "stages.0.0.pointwise.0"
    partly = SimulatedInt8(simulated.network, images, [kept])
    architecture = "edge-presence" if simulated.presence is not None else "edge"
    checkpoint.save(path, simulated.network, architecture, {"size": SIZE, "int8": partly.facts()})
    subject = of_weights(str(path))
    trained = trained_ranges(subject.int8, for_gpu(subject.graph(17), 17))
    assert trained is not None
    # Its depthwise convolution has no kernel that writes float.
    assert [module_path(name) for name in trained.in_float] == ["stages.0.0.depthwise.0", kept]
    synthetic.write_set(tmp_path, 8, seed=50, height=SIZE, width=SIZE)
    measured = measure_ranges(subject, calibrate.find(tmp_path), lambda line: None)
    assert set(trained.in_float) <= set(measured.in_float)


@pytest.mark.parametrize("ranges", [{}, {"stem.0": "wide"}, None])
def test_a_card_that_does_not_fit_is_refused(model: onnx.ModelProto, ranges: object) -> None:
    with pytest.raises(InputError, match=r"INT8 ranges do not fit the network \(stem.0\)"):
        trained_ranges({"ranges": ranges}, model)


def test_a_card_without_ranges_has_none(model: onnx.ModelProto) -> None:
    assert trained_ranges(None, model) is None
