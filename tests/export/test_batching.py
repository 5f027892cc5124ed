"""Files for several frames at once: each row is what the frame gives alone, and the bundle runs as before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from small_network import LENIENT, SIZE
from typer.testing import CliRunner, Result

from microaunet_export import batching
from microaunet_export.batching import BatchSize
from microaunet_export.commands.export import app
from microaunet_runtime import open_session
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.errors import InputError
from microaunet_runtime.images import synthetic

FRAMES = np.stack([synthetic.frame(seed, SIZE, SIZE)[0] for seed in range(3)])
OUTPUTS = ["probability", "mask", "presence"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module", params=[4, "dynamic"])
def batched_bundle(
    request: pytest.FixtureRequest, calibrated: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("batched") / "bundle"
    arguments = ("--weights", calibrated, "--int8", *LENIENT, "--out", out)
    done = invoke(*arguments, "--batch", request.param)
    assert done.exit_code == 0, done.output
    assert f"fp32-batch-{request.param}.onnx: frame by frame" in done.output
    return out


def test_each_row_is_what_the_frame_gives_alone(batched_bundle: Path) -> None:
    manifest = Bundle(batched_bundle).manifest
    assert manifest.batch is not None
    assert set(manifest.batch.artefacts) == set(manifest.artefacts) == {"fp32", "fp16", "int8", "int8-fp16"}
    for precision, entry in manifest.batch.artefacts.items():
        assert manifest.batch.differences[precision] <= manifest.batch.tolerances[precision]
        one, several = session(batched_bundle / f"{precision}.onnx"), session(batched_bundle / entry.file)
        assert several.get_inputs()[0].shape == [
            "N" if manifest.batch.size == "dynamic" else 4,
            *one.get_inputs()[0].shape[1:],
        ]
        for count in (1, 4, 7) if manifest.batch.size == "dynamic" else (4,):
            frames = FRAMES[np.arange(count) % len(FRAMES)]
            rows = zip(*several.run(OUTPUTS, {"frame": frames}), strict=True)
            for frame, (probability, mask, presence) in zip(frames, rows, strict=True):
                expected = one.run(OUTPUTS, {"frame": frame[None]})
                tolerance = batching.TOLERANCES[precision]
                np.testing.assert_allclose(probability[None], expected[0], rtol=0, atol=tolerance)
                np.testing.assert_allclose(presence[None], expected[2], rtol=0, atol=tolerance)
                clear = np.abs(expected[0] - manifest.threshold) > tolerance
                np.testing.assert_array_equal(mask[None][clear], expected[1][clear])


@pytest.mark.slow
def test_tensorrt_builds_each_file(batched_bundle: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    manifest = Bundle(batched_bundle).manifest
    assert manifest.batch is not None
    shape = (SIZE, SIZE, 3)
    for entry in manifest.batch.artefacts.values():
        builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
        assert parser.parse((batched_bundle / entry.file).read_bytes()), entry.file
        config = builder.create_builder_config()
        config.num_compute_capabilities = 1  # named, as no GPU is asked
        config.set_compute_capability(trt.ComputeCapability.SM86, 0)
        if manifest.batch.size == "dynamic":
            profile = builder.create_optimization_profile()
            profile.set_shape("frame", (1, *shape), (8, *shape), (8, *shape))
            config.add_optimization_profile(profile)
        assert builder.build_serialized_network(network, config), entry.file


def test_the_bundle_runs_as_one_without_a_batch(batched_bundle: Path, bundle_folder: Path) -> None:
    with (
        open_session(batched_bundle, backend="onnxruntime") as found,
        open_session(bundle_folder, backend="onnxruntime") as expected,
    ):
        for frame in FRAMES:
            np.testing.assert_array_equal(found.run(frame).probability, expected.run(frame).probability)


def test_a_damaged_batch_file_shows(batched_bundle: Path) -> None:
    bundle = Bundle(batched_bundle)
    bundle.check()
    assert bundle.manifest.batch is not None
    path = batched_bundle / bundle.manifest.batch.artefacts["fp16"].file
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match=f"{path.name} is not the file that the manifest describes"):
        bundle.check()
    path.write_bytes(content)


@pytest.mark.slow
def test_an_older_bundle_with_a_batch_and_deepstream_is_replaced(calibrated: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    for more in (("--batch", 2, "--deepstream"), ("--batch", 3), ()):
        done = invoke("--weights", calibrated, *LENIENT, "--out", out, *more)
        assert done.exit_code == 0, done.output
    assert sorted(path.name for path in out.glob("*.onnx")) == ["fp16.onnx", "fp32.onnx"]


@pytest.mark.parametrize("text", ["1", "65", "-2", "4.0", "all", ""])
def test_what_is_no_batch_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected dynamic, or a number from 2 to 64"):
        batching.parse(text)


def test_a_network_that_mixes_the_frames_of_a_batch_fails_the_export(tmp_path: Path) -> None:
    model = mixing(fixed=False)
    inner = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model)).extract_model(["x"], ["mixed"])
    onnx.save(inner, tmp_path / "mixing.onnx")
    done = invoke("--onnx", tmp_path / "mixing.onnx", "--batch", 2, "--out", tmp_path / "bundle")
    assert done.exit_code == 3, done.output
    assert "fp32-batch-2.onnx: a batch differs from its frames one by one" in " ".join(done.output.split())
    Bundle(tmp_path / "bundle").check()  # written, so that the cause can be looked at


def mixing(fixed: bool) -> onnx.ModelProto:
    """A graph of the contract that mixes the frames of a batch, or is fixed to one."""
    kernel = numpy_helper.from_array(np.full((1, 3, 1, 1), 0.001, np.float32), "w")
    shape = numpy_helper.from_array(np.array([1, 1, SIZE, SIZE], np.int64), "shape")
    last = (
        helper.make_node("Reshape", ["logits", "shape"], ["mixed"])
        if fixed
        else helper.make_node("Add", ["logits", "sum"], ["mixed"])
    )
    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w"], ["logits"]),
        helper.make_node("CumSum", ["logits", "axis"], ["sum"]),
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
        [kernel, shape, numpy_helper.from_array(np.array(0, np.int64), "axis")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("size", [2, "dynamic"])
def test_a_network_that_mixes_frames_shows(size: BatchSize) -> None:
    model = mixing(fixed=False)
    assert (
        batching.difference(model, batching.batched(model, size), FRAMES, size) > batching.TOLERANCES["fp32"]
    )


@pytest.mark.parametrize("size", [2, "dynamic"])
def test_a_network_for_one_frame_is_refused(size: BatchSize) -> None:
    model = mixing(fixed=True)
    with pytest.raises(InputError, match=r"cannot take several frames at once|fewer results"):
        batching.difference(model, batching.batched(model, size), FRAMES, size)
