"""Model repositories for Triton: Triton reads the configurations, and a failed gate leaves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from small_network import SIZE

from microaunet_export import batching, triton
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import GateError, InputError


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


def test_a_failed_gate_and_a_folder_of_others_leave_everything(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(batching.TOLERANCES, "fp32", -1.0)
        with pytest.raises(GateError, match="a batch differs"):
            triton.write(Bundle(bundle_folder), tmp_path / "models")
    assert not (tmp_path / "models").exists()
    shutil.copytree(bundle_folder, tmp_path / "precious")
    with pytest.raises(InputError, match="holds other things"):
        triton.write(Bundle(bundle_folder), tmp_path / "precious")
    Bundle(tmp_path / "precious").check()
