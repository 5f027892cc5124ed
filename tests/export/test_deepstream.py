"""What DeepStream is given: the same values from planar frames, and a configuration that fits the graph."""

from __future__ import annotations

import configparser
from pathlib import Path

import numpy as np
import onnx
import pytest
from small_network import SIZE
from typer.testing import CliRunner

from microaunet_export import deepstream
from microaunet_export.commands.export import app
from microaunet_export.deepstream import greatest_difference, planar
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import GateError
from microaunet_runtime.images import synthetic

FRAMES = [synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(3)]


def test_planar_frames_give_the_very_same_probability(graphs: dict[int, onnx.ModelProto]) -> None:
    cut = planar(graphs[17])
    assert cut.graph.node[0].op_type == "Conv"
    assert [value.name for value in cut.graph.output] == ["probability"]
    assert cut.graph.node[-1].op_type == "Sigmoid", "what makes the mask is gone"
    assert greatest_difference(graphs[17], cut, FRAMES) == 0


def test_another_graph_is_noticed_and_nothing_is_written(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = onnx.load(bundle_folder / "fp32.onnx")
    weight = next(tensor for tensor in other.graph.initializer if len(tensor.dims) == 4)
    values = onnx.numpy_helper.to_array(weight) * 1.01
    weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), weight.name))
    monkeypatch.setattr(deepstream, "planar", lambda _: planar(other))
    with pytest.raises(GateError, match=r"differs from fp32\.onnx by"):
        deepstream.write(Bundle(bundle_folder), tmp_path / "deepstream")
    assert not (tmp_path / "deepstream").exists()


def test_the_export_adds_a_folder_whose_configuration_fits_the_graph(weights: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    arguments = ["--weights", weights, "--fp16-agreement", 0.9, "--deepstream", "--out", out]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    folder = out / "deepstream"
    assert str(folder / "nvinfer.txt") in result.output.replace("\n", "")
    parser = configparser.ConfigParser()
    parser.read(folder / "nvinfer.txt")
    assert parser.sections() == ["property"]
    found = parser["property"]
    graph = onnx.load(folder / found["onnx-file"]).graph
    (frame,), (probability,) = graph.input, graph.output
    shape = [axis.dim_value for axis in frame.type.tensor_type.shape.dim]
    assert found["infer-dims"] == ";".join(map(str, shape[1:]))
    assert found["output-blob-names"] == probability.name
    assert int(found["batch-size"]) == shape[0]
    assert (found["network-type"], found["segmentation-output-order"]) == ("2", "0")
    assert float(found["segmentation-threshold"]) == Bundle(out).manifest.threshold
    assert float(found["net-scale-factor"]) == 1, "the scale is in the graph's first convolution"
    labels = (folder / found["labelfile-path"]).read_text().split()
    assert len(labels) == int(found["num-detected-classes"]) == 1
