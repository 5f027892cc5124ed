"""Model repositories for Triton: a batch gives what its frames give; Triton reads the configurations."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from small_network import SIZE

from microaunet_export import triton
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import GateError, InputError
from microaunet_runtime.images import synthetic

FRAMES = np.stack([synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(3)])


def test_a_batch_gives_what_its_frames_give_one_by_one(graphs: dict[int, onnx.ModelProto]) -> None:
    assert triton.difference(graphs[17], triton.batched(graphs[17]), FRAMES) <= triton.TOLERANCE


def test_triton_reads_both_configurations(bundle_folder: Path, tmp_path: Path) -> None:
    parser = pytest.importorskip(
        "tritonclient.grpc.model_config_pb2", reason="tritonclient is not installed (tritonclient[grpc])"
    )
    from google.protobuf import text_format

    out = tmp_path / "models"
    command = triton.write(Bundle(bundle_folder), out)
    assert sorted(path.name for path in out.iterdir()) == ["onnxruntime", "tensorrt"]
    for backend in ("onnxruntime", "tensorrt"):
        found = text_format.Parse(
            (out / backend / "small" / "config.pbtxt").read_text(), parser.ModelConfig()
        )
        assert (found.name, found.backend, found.max_batch_size) == ("small", backend, triton.MOST)
        assert found.HasField("dynamic_batching")
        facts = {name: value.string_value for name, value in found.parameters.items()}
        assert facts["fp32_sha256"] == Bundle(bundle_folder).manifest.artefacts["fp32"].sha256
        assert facts["precision"] == {"onnxruntime": "fp32", "tensorrt": "fp16"}[backend]
        graph = onnx.load(out / "onnxruntime" / "small" / "1" / "model.onnx").graph
        by_name = {value.name: value.type.tensor_type for value in (*graph.input, *graph.output)}
        assert {tensor.name for tensor in (*found.input, *found.output)} == set(by_name)
        for tensor in (*found.input, *found.output):
            batch, *shape = by_name[tensor.name].shape.dim
            assert batch.dim_param == "N"
            promised = tensor.reshape.shape if tensor.HasField("reshape") else tensor.dims
            assert list(promised) == [axis.dim_value for axis in shape]
            kinds = {onnx.TensorProto.FLOAT: "TYPE_FP32", onnx.TensorProto.UINT8: "TYPE_UINT8"}
            assert parser.DataType.Name(tensor.data_type) == kinds[by_name[tensor.name].elem_type]
    assert not list((out / "tensorrt" / "small" / "1").iterdir()), "the engine is built on the server"
    assert f"--saveEngine={out / 'tensorrt' / 'small' / '1' / 'model.plan'}" in command
    assert f"--maxShapes=frame:{triton.MOST}x{SIZE}x{SIZE}x3" in command


def mixing(fixed: bool) -> onnx.ModelProto:
    """A graph of the contract that mixes the frames of a batch, or is fixed to one."""
    kernel = numpy_helper.from_array(np.full((1, 3, 1, 1), 0.001, np.float32), "w")
    shape = numpy_helper.from_array(np.array([1, 1, SIZE, SIZE], np.int64), "shape")
    last = (
        helper.make_node("Reshape", ["logits", "shape"], ["mixed"])
        if fixed
        else helper.make_node("Sub", ["logits", "mean"], ["mixed"])
    )
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w"], ["logits"]),
        helper.make_node("ReduceMean", ["logits"], ["mean"], axes=[0], keepdims=1),
        last,
        helper.make_node("Sigmoid", ["mixed"], ["probability"]),
        helper.make_node("Cast", ["probability"], ["mask"], to=onnx.TensorProto.UINT8),
        helper.make_node("ReduceMax", ["probability"], ["presence"], axes=[1, 2, 3], keepdims=0),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [info("frame", onnx.TensorProto.UINT8, [1, SIZE, SIZE, 3])],
        [
            info("probability", onnx.TensorProto.FLOAT, [1, 1, SIZE, SIZE]),
            info("mask", onnx.TensorProto.UINT8, [1, 1, SIZE, SIZE]),
            info("presence", onnx.TensorProto.FLOAT, [1]),
        ],
        [kernel, shape],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_a_network_that_mixes_frames_shows() -> None:
    model = mixing(fixed=False)
    assert triton.difference(model, triton.batched(model), FRAMES) > triton.TOLERANCE


def test_a_network_for_one_frame_is_refused() -> None:
    model = mixing(fixed=True)
    several = onnx.ModelProto()
    several.CopyFrom(model)
    for value in (*several.graph.input, *several.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    with pytest.raises(InputError, match="cannot take several frames at once"):
        triton.difference(model, several, FRAMES)


def test_a_failed_gate_and_a_folder_of_others_leave_everything(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(triton, "TOLERANCE", -1.0)
        with pytest.raises(GateError, match="a batch differs"):
            triton.write(Bundle(bundle_folder), tmp_path / "models")
    assert not (tmp_path / "models").exists()
    shutil.copytree(bundle_folder, tmp_path / "precious")
    with pytest.raises(InputError, match="holds other things"):
        triton.write(Bundle(bundle_folder), tmp_path / "precious")
    Bundle(tmp_path / "precious").check()
