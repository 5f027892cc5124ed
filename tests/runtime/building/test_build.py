"""TensorRT-RTX really parses and builds here, for a GPU that it is told of."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.progress import Progress, TaskID
from typed_graphs import typed_graph, write_typed_bundle
from typer.testing import CliRunner

from microaunet_runtime.building.build import build, build_every
from microaunet_runtime.building.compiling import BuildRefusedError, BuildSettings, compile_engine
from microaunet_runtime.building.plans import plan, plans
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.manifest import PRECISIONS
from microaunet_runtime.commands.build import app
from microaunet_runtime.errors import GateError, InputError
from microaunet_runtime.inference.tensorrt.versions import TensorRT, capabilities, installed
from microaunet_runtime.verification.selftest import self_test

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (microaunet[rtx])")
pytest.importorskip("polygraphy", reason="polygraphy is not installed (microaunet[rtx])")


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_typed_bundle(tmp_path_factory.mktemp("typed") / "bundle")


def absent(flavour: str, version: str) -> TensorRT:
    """A TensorRT that is not installed here: enough for what is decided before it is called."""
    return TensorRT(flavour, version, None, capabilities(flavour, version))


def test_every_form_builds_once_and_is_found_again(bundle_folder: Path) -> None:
    first = build_every(Bundle(bundle_folder), compute_capability="SM86")
    again = build_every(Bundle(bundle_folder), compute_capability="8.6")
    assert [one.engine.facts.precision for one in first] == list(PRECISIONS)
    assert not any(one.cached for one in first)
    assert all(one.cached for one in again)
    assert [one.engine.sha256 for one in first] == [one.engine.sha256 for one in again]
    for engine in (one.engine for one in first):
        assert engine.path.stat().st_size == engine.size > 1000
        assert engine.layers is None  # what was built is known only where it can be loaded
        assert not engine.verified  # nothing ran: there is no GPU in this build


def test_every_form_agrees_with_the_reference_before_it_is_built(bundle_folder: Path) -> None:
    pytest.importorskip("onnxruntime")
    checks = self_test(Bundle(bundle_folder), ("onnxruntime",))
    assert [check.precision for check in checks if not check.passed] == []


def test_the_sidecar_says_what_the_engine_depends_on(bundle_folder: Path) -> None:
    (built,) = build(Bundle(bundle_folder), "fp32", compute_capability="SM89")
    sidecar = json.loads(built.engine.path.with_suffix(".json").read_text())
    source = Bundle(bundle_folder).manifest.artefacts["fp32"]
    assert sidecar["facts"]["compute_capability"] == "8.9"
    assert sidecar["facts"]["source_sha256"] == source.sha256
    assert sidecar["facts"]["tensorrt"] == installed().version
    assert built.engine.path.parent.name.startswith(f"tensorrt_rtx-{installed().version}-sm89-fp32-")
    assert sorted(path.name for path in built.engine.path.parent.iterdir()) == ["fp32.engine", "fp32.json"]


def test_another_workspace_is_another_engine(bundle_folder: Path) -> None:
    bundle = Bundle(bundle_folder)
    (small,) = build(bundle, "fp32", compute_capability="SM86", workspace_mb=64)
    (large,) = build(bundle, "fp32", compute_capability="SM86", workspace_mb=128)
    assert small.engine.path != large.engine.path
    assert small.engine.facts.options["workspace_mb"] == 64


def test_a_damaged_engine_is_built_again(tmp_path: Path) -> None:
    bundle = Bundle(write_typed_bundle(tmp_path / "bundle"))
    (built,) = build(bundle, "fp32", compute_capability="SM86")
    built.engine.path.write_bytes(b"not the engine that was built")
    said: list[str] = []
    (again,) = build(bundle, "fp32", compute_capability="SM86", say=said.append)
    assert not again.cached
    assert again.engine.read()
    assert any("is corrupt" in line for line in said)


def test_a_refused_int8_form_falls_back_to_the_next_and_says_so(tmp_path: Path) -> None:
    bundle = Bundle(write_typed_bundle(tmp_path / "bundle", refused=("int8-fp16",)), trust=True)
    said: list[str] = []
    (built,) = build(bundle, "int8", compute_capability="SM86", say=said.append)
    assert built.engine.facts.precision == "int8"
    assert any(line.startswith("order: int8-fp16") and "-> fp32" in line for line in said)
    assert any(line.startswith("not kept: int8-fp16") and "NoSuchLayer" in line for line in said)


def test_no_int8_at_all_is_a_failed_gate_that_names_what_was_built(tmp_path: Path) -> None:
    bundle = Bundle(write_typed_bundle(tmp_path / "bundle", refused=("int8-fp16", "int8")), trust=True)
    with pytest.raises(GateError, match=r"no int8 engine was accepted.*fp16\.engine"):
        build(bundle, "int8", compute_capability="SM86")


def test_a_refused_graph_fails_with_the_parsers_words_and_leaves_nothing(tmp_path: Path) -> None:
    bundle = Bundle(write_typed_bundle(tmp_path / "bundle", refused=PRECISIONS), trust=True)
    with pytest.raises(BuildRefusedError, match="NoSuchLayer"):
        build_every(bundle, compute_capability="SM86")
    assert not list(bundle.folder.glob("engines/**/*"))


def test_a_changed_onnx_file_is_not_built(tmp_path: Path) -> None:
    folder = write_typed_bundle(tmp_path / "bundle")
    with (folder / "fp32.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(InputError, match="sha256 differs"):
        build(Bundle(folder), "fp32", compute_capability="SM86")


@pytest.mark.parametrize(
    ("precision", "capability", "message"),
    [
        ("int4", "SM86", "use int8, fp16, fp32 or best"),
        ("fp32", "SM87", "use one of SM75"),
        ("fp32", "Orin", "use one of SM75"),
    ],
)
def test_bad_requests_name_what_is_possible(
    bundle_folder: Path, precision: str, capability: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        build(Bundle(bundle_folder), precision, compute_capability=capability)


def test_ctrl_c_stops_the_build_and_is_itself_again() -> None:
    model = typed_graph("fp32", 64, 96)

    class Impatient(Progress):
        """Presses Ctrl-C when the first phase of a build begins."""

        def add_task(self, *args: Any, **kwargs: Any) -> TaskID:
            signal.raise_signal(signal.SIGINT)
            return super().add_task(*args, **kwargs)

    with pytest.raises(KeyboardInterrupt):
        compile_engine(model, BuildSettings(True, (), 64), installed(), target=(8, 6), progress=Impatient())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_out_of_memory_names_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    model, recipe = typed_graph("fp32", 64, 96), BuildSettings(True, (), 64)
    compile_engine(
        model, recipe, installed(), target=(8, 6)
    )  # which tells Polygraphy whose loaders to import
    from polygraphy.backend.trt import EngineBytesFromNetwork

    def exhausted(self: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(EngineBytesFromNetwork, "__call__", exhausted)
    with pytest.raises(InputError, match=r"out of memory.*workspace of 64 MiB.*--workspace"):
        compile_engine(model, recipe, installed(), target=(8, 6))


@pytest.mark.parametrize("kind", [TypeError, RuntimeError])
def test_what_the_bindings_raise_is_a_refusal_and_the_next_form_is_tried(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    compile_engine(typed_graph("fp32", 64, 96), BuildSettings(True, (), 64), installed(), target=(8, 6))
    from polygraphy.backend.trt import EngineBytesFromNetwork

    builds = EngineBytesFromNetwork.__call__
    calls: list[int] = []

    def first_raises(self: object) -> bytes:
        calls.append(1)
        if len(calls) == 1:
            raise kind("factory function returned nullptr")
        return builds(self)

    monkeypatch.setattr(EngineBytesFromNetwork, "__call__", first_raises)
    said: list[str] = []
    (built,) = build(
        Bundle(bundle_folder), "int8", compute_capability="SM80", workspace_mb=32, say=said.append
    )
    assert built.engine.facts.precision == "int8"
    assert any("not kept: int8-fp16" in line and "returned nullptr" in line for line in said)


def test_the_command_builds_and_reports(bundle_folder: Path, tmp_path: Path) -> None:
    record = tmp_path / "built.json"
    arguments = ["--bundle", str(bundle_folder), "--compute-capability", "SM86", "--json", str(record)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    engines = json.loads(record.read_text())["engines"]
    assert [engine["facts"]["precision"] for engine in engines] == ["int8-fp16", "fp16"]
    assert not any(engine["verified"] for engine in engines)
    assert all((bundle_folder / engine["path"]).is_file() for engine in engines)
    assert "not verified" in result.output


def test_without_a_gpu_the_command_says_what_to_name(bundle_folder: Path) -> None:
    # A driver may be present where this runs: a process that sees no GPU is a machine without one.
    code = "from microaunet_runtime.commands.build import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--bundle", str(bundle_folder)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--compute-capability SM86" in done.stderr or "cuda-bindings" in done.stderr


@pytest.mark.parametrize(
    ("version", "order"),
    [
        (
            "8.6.2",
            ["int8, weakly typed with INT8 and FP16", "fp16, weakly typed with FP16", "fp32, weakly typed"],
        ),
        (
            "10.3.0",
            [
                "int8-fp16, strongly typed",
                "int8, weakly typed with INT8 and FP16",
                "fp16, strongly typed",
                "fp32, strongly typed",
            ],
        ),
        (
            "11.4.1",
            [f"{precision}, strongly typed" for precision in ("int8-fp16", "int8", "fp16", "fp32")],
        ),
    ],
)
def test_the_order_of_attempts_by_version(bundle_folder: Path, version: str, order: list[str]) -> None:
    found = plans("int8", Bundle(bundle_folder), absent("tensorrt", version))
    assert [step.title for step in found] == order


def test_tensorrt_without_rtx_is_never_given_a_target() -> None:
    step = plan("int8", absent("tensorrt", "10.3.0"))
    assert step.flags == ("INT8", "FP16")
    assert absent("tensorrt", "11.4.1").targets == {}
