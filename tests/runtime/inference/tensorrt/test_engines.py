"""Which engine may run on a device, and what is kept of those that are built on one (simulated)."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redness import write_bundle
from simulated_gpu import BREAKS, GOOD, LAYERS, LOSES, SLOW, UNMADE, WRONG, SimulatedGpu, simulated_tensorrt

from microaunet_runtime import open_session
from microaunet_runtime.building import build as building
from microaunet_runtime.building import turns
from microaunet_runtime.building.build import build
from microaunet_runtime.building.compiling import BuildRefusedError, Compiled
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.manifest import PRECISIONS
from microaunet_runtime.errors import GateError, InputError
from microaunet_runtime.inference import cuda
from microaunet_runtime.inference.tensorrt import backend as backend_module
from microaunet_runtime.inference.tensorrt.backend import TensorRTBackend
from microaunet_runtime.inference.tensorrt.engines import find, kept, load
from microaunet_runtime.inference.tensorrt.versions import TensorRT

Builder = Callable[[dict[str, bytes]], "Device"]


class Device:
    """A simulated device with a builder that gives, by precision, the engine that it is told to give."""

    def __init__(self, gpu: SimulatedGpu, trt: TensorRT, bundle: Bundle) -> None:
        self.gpu, self.trt, self.bundle = gpu, trt, bundle
        self.said: list[str] = []
        self.compiled = 0

    def build(self, precision: str) -> list[str]:
        """The precisions of the engines that a build of ``precision`` gives."""
        built = build(self.bundle, precision, say=self.said.append)
        return [one.engine.facts.precision for one in built]

    def kept(self) -> list[str]:
        """The precisions of the engines on disk."""
        return sorted(path.stem for path in self.bundle.folder.glob("engines/*/*.engine"))

    def auto_note(self) -> str:
        """What a session says of the backend that was chosen for it."""
        pytest.importorskip("onnxruntime")
        with open_session(self.bundle) as session:
            return session.note


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    # What Polygraphy did for the TensorRT that is installed does not concern the simulated one.
    monkeypatch.delitem(sys.modules, "polygraphy.backend.trt.util", raising=False)

    def made(engines: dict[str, bytes]) -> Device:
        gpu = SimulatedGpu()
        bundle = Bundle(write_bundle(tmp_path / "bundle", biases=dict.fromkeys(PRECISIONS, -8.0)))
        here = Device(gpu, simulated_tensorrt(gpu), bundle)

        def compiled(onnx: bytes, *args: object, **facts: object) -> Compiled:
            here.compiled += 1
            content = engines.get(here.said[-1].split(",")[0])  # "int8-fp16, strongly typed: building; ..."
            if content is None:
                raise BuildRefusedError("Could not infer output types")
            return Compiled(content, 1.5)

        for module in (building, backend_module):
            monkeypatch.setattr(module, "installed", lambda: here.trt)
        monkeypatch.setattr(cuda, "provider", lambda: gpu)
        monkeypatch.setattr(backend_module, "provider", lambda: gpu)
        monkeypatch.setattr(turns, "WARM_UP_S", 0.0)
        monkeypatch.setattr(turns, "BLOCK_S", 0.02)
        monkeypatch.setattr(building, "compile_engine", compiled)
        return here

    return made


def test_an_engine_that_agrees_is_kept_and_the_second_call_builds_nothing(device: Builder) -> None:
    here = device({"fp16": GOOD})
    assert here.build("fp16") == ["fp16"]
    assert here.build("fp16") == ["fp16"]
    assert here.compiled == 1
    sidecar = json.loads(next(here.bundle.folder.glob("engines/*/fp16.json")).read_text())
    assert sidecar["agreement"]["mask_agreement"] == 1
    assert sidecar["latency_ms"]["p50"] > 0
    assert sidecar["facts"]["gpu"] == "Simulated, 8 multiprocessors"
    assert not here.gpu.taken


def test_an_engine_that_disagrees_is_not_kept_and_the_next_is_tried(device: Builder) -> None:
    here = device({"int8-fp16": WRONG, "int8": GOOD})
    assert here.build("int8") == ["int8"]
    assert here.kept() == ["int8"]
    assert any("int8-fp16" in line and "does not agree with the PyTorch" in line for line in here.said)


def test_an_engine_that_does_not_load_is_not_kept_and_the_next_is_tried(device: Builder) -> None:
    here = device({"int8-fp16": b"no engine", "int8": GOOD})
    assert here.build("int8") == ["int8"]
    assert here.kept() == ["int8"]
    assert any("int8-fp16" in line and "does not run on this device" in line for line in here.said)


def test_a_bundle_that_cannot_be_written_is_said_before_building(
    device: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = device({"fp16": GOOD})

    def refused(dir: Path) -> None:  # root may write everywhere, so no mode does it
        raise PermissionError(13, "Permission denied", str(dir))

    monkeypatch.setattr(building.tempfile, "TemporaryFile", refused)
    with pytest.raises(InputError, match=r"cannot write .*bundle: permission denied"):
        here.build("fp16")
    assert here.compiled == 0


def test_a_refused_graph_falls_back_as_far_as_fp16_but_fails_the_request(device: Builder) -> None:
    here = device({"fp16": GOOD})
    with pytest.raises(GateError, match="no int8 engine was accepted"):
        here.build("int8")
    assert here.kept() == ["fp16"]


def test_nothing_acceptable_is_a_failed_gate_with_every_reason(device: Builder) -> None:
    here = device({"int8-fp16": WRONG, "fp16": WRONG, "fp32": WRONG})
    with pytest.raises(GateError, match=r"int8-fp16.*mask agreement.*int8, .*infer output types.*fp32"):
        here.build("int8")
    assert here.kept() == []


@pytest.mark.parametrize("broken", [BREAKS, UNMADE])
def test_an_engine_that_fails_while_loading_or_running_is_not_kept_and_the_next_is_tried(
    device: Builder, broken: bytes
) -> None:
    here = device({"int8-fp16": broken, "int8": GOOD})
    assert here.build("int8") == ["int8"]
    assert here.kept() == ["int8"]
    assert any("int8-fp16" in line and "does not run on this device" in line for line in here.said)
    assert not here.gpu.taken


@pytest.mark.parametrize("request_", ["int8", "best"])
def test_an_engine_that_takes_the_gpu_down_ends_the_build_with_the_command_to_go_on_with(
    device: Builder, request_: str
) -> None:
    here = device({"int8-fp16": LOSES, "int8": GOOD, "fp16": GOOD})
    with pytest.raises(InputError, match=r"can no longer use the GPU: continue with .* --precision fp16"):
        here.build(request_)
    assert here.kept() == []


def test_the_layers_are_those_that_were_built(device: Builder) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    sidecar = json.loads(next(here.bundle.folder.glob("engines/*/fp16.json")).read_text())
    assert sidecar["layers"] == len(LAYERS)


@pytest.mark.parametrize(
    ("engines", "winner"),
    [
        ({"int8-fp16": SLOW, "fp16": GOOD}, "fp16"),
        ({"int8-fp16": GOOD, "fp16": SLOW}, "int8-fp16"),
        ({"int8-fp16": WRONG, "fp16": SLOW}, "fp16"),
    ],
)
def test_best_chooses_the_faster_one_that_agrees(
    device: Builder, engines: dict[str, bytes], winner: str
) -> None:
    here = device(engines)
    assert here.build("best") == [winner]
    with open_session(here.bundle) as session:
        assert session.backend.precision == winner
    compiled = here.compiled
    assert here.build("best") == [winner]
    assert here.compiled == compiled


@pytest.mark.parametrize(("ratio", "pays"), [(0.96, True), (0.98, False), (1.1, False)])
def test_int8_pays_from_three_percent(
    device: Builder, monkeypatch: pytest.MonkeyPatch, ratio: float, pays: bool
) -> None:
    def timed(backend: TensorRTBackend, frames: object, seconds: float) -> float:
        timed.order.append(backend.precision)
        drift = 1 + 0.03 * len(timed.order)  # the whole board gets slower all the time
        return drift * (ratio if backend.precision.startswith("int8") else 1.0)

    timed.order = []
    monkeypatch.setattr(turns, "_median_ms", timed)
    here = device({"int8-fp16": GOOD, "fp16": GOOD})
    assert here.build("best") == ["int8-fp16" if pays else "fp16"]
    measured = timed.order[2:]  # after one warm-up each
    there, back = ["int8-fp16", "fp16"], ["fp16", "int8-fp16"]
    assert measured == there + back + there + back
    assert any("more than 3 %" in line for line in here.said)


def test_best_removes_no_engine_and_a_session_takes_its_choice(
    device: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_median_ms", lambda backend, frames, seconds: 1.0)
    here = device({"int8-fp16": GOOD, "fp16": SLOW})  # in turns, both are as fast
    here.build("int8")
    assert here.build("best") == ["fp16"]
    assert here.kept() == ["fp16", "int8-fp16"]
    with open_session(here.bundle) as session:
        assert session.backend.precision == "fp16"
    with open_session(here.bundle, precision="int8-fp16") as session:
        assert session.backend.precision == "int8-fp16"


def test_a_later_choice_replaces_the_earlier_one(device: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    here = device({"int8-fp16": GOOD, "fp16": GOOD})
    monkeypatch.setattr(turns, "_median_ms", lambda backend, frames, seconds: 1.0)
    here.build("best")
    monkeypatch.setattr(turns, "_median_ms", lambda backend, *_: 1.0 + (backend.precision == "fp16"))
    build(here.bundle, "best", workspace_mb=64, say=here.said.append)
    chosen = [engine.facts.precision for engine in kept(here.bundle) if engine.chosen_over]
    assert chosen == ["int8-fp16"]


def test_auto_runs_the_engine_and_says_so(device: Builder) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    golden = here.bundle.golden()
    with open_session(here.bundle) as session:
        assert session.backend.name == "tensorrt"
        assert session.note.startswith("tensorrt fp16, chosen by auto")
        assert "CUDA graph" in session.note
        mask = session.run(golden.frames[0]).mask
    assert (mask == (golden.probability[0, 0] > 0.5)).all()


def test_auto_without_an_engine_runs_on_the_cpu_and_says_why(device: Builder) -> None:
    pytest.importorskip("onnxruntime")
    with open_session(device({}).bundle) as session:
        assert session.note.startswith("onnxruntime fp32, chosen by auto (tensorrt: the bundle has no engine")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": "10.4.0"}, "built for TensorRT tensorrt 10.3.0, this machine has tensorrt 10.4.0"),
        ({"compute_capability": (11, 0)}, "built for compute capability 8.7, this machine has 11.0"),
        ({"multiprocessors": 16}, "built for GPU Simulated, 8 multiprocessors, this machine has"),
        ({"cuda": "13.0"}, "built for CUDA 12.6, this machine has 13.0"),
    ],
)
def test_an_engine_of_another_machine_is_refused_by_name(
    device: Builder, change: dict[str, Any], reason: str
) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    gpu, trt = here.gpu.device(), here.trt
    gpu = replace(gpu, **{name: value for name, value in change.items() if name != "version"})
    trt = replace(trt, version=change.get("version", trt.version))
    with pytest.raises(InputError, match=rf"sm87-fp16-\w+: it was {reason}.*run microaunet-build"):
        find(here.bundle, "fp16", trt, gpu)


def on_another_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The bundle goes to an equal machine; what the first one noted for itself does not."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another"))


def test_an_engine_that_came_with_the_bundle_is_not_run(
    device: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    on_another_machine(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=r"no record of having built it.*run microaunet-build --bundle"):
        open_session(here.bundle, backend="tensorrt")
    assert "no record of having built it" in here.auto_note()


@pytest.mark.parametrize("precision", ["fp16", "best"])
def test_an_engine_that_came_with_the_bundle_is_built_again(
    device: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    here = device({"fp16": GOOD})
    here.build(precision)
    on_another_machine(monkeypatch, tmp_path)
    compiled = here.compiled
    assert here.build(precision) == ["fp16"]
    assert here.compiled > compiled
    assert any("building again" in line and "no record" in line for line in here.said)
    open_session(here.bundle, backend="tensorrt").close()


def test_an_engine_put_in_the_place_of_one_that_was_built_here_is_not_run(device: Builder) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    path = next(here.bundle.folder.glob("engines/*/fp16.engine"))
    path.write_bytes(SLOW)  # with a sidecar that agrees with it
    sidecar = json.loads(path.with_suffix(".json").read_text())
    sidecar |= {"sha256": hashlib.sha256(SLOW).hexdigest(), "size": len(SLOW)}
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    with pytest.raises(InputError, match="no record of having built it"):
        open_session(here.bundle, backend="tensorrt")


def test_a_record_that_cannot_be_written_is_said_before_building(
    device: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = device({"fp16": GOOD})
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"cannot write .*file/microaunet/engines"):
        here.build("fp16")
    assert here.compiled == 0


def test_an_onnx_file_changed_since_the_build_is_named(device: Builder) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    again = Bundle(write_bundle(here.bundle.folder, biases=dict.fromkeys(PRECISIONS, -7.5)))
    with pytest.raises(InputError, match="fp16 file has changed since it was built"):
        find(again, None, here.trt, here.gpu.device())


def test_a_corrupt_engine_is_not_run(device: Builder) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    path = next(here.bundle.folder.glob("engines/*/fp16.engine"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match=r"fp16\.engine is corrupt.*microaunet-build"):
        open_session(here.bundle, backend="tensorrt")


@pytest.mark.parametrize("damage", ["{", "[]", '{"schema": 9}', '{"schema": 1, "file": "../x.engine"}'])
def test_a_sidecar_that_is_not_one_is_no_engine(device: Builder, damage: str) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    next(here.bundle.folder.glob("engines/*/fp16.json")).write_text(damage)
    with pytest.raises(InputError, match="has no engine for this device"):
        find(here.bundle, None, here.trt, here.gpu.device())


def test_a_sidecar_whose_hash_is_a_path_is_no_engine(device: Builder) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    path = next(here.bundle.folder.glob("engines/*/fp16.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": "../../record"}))
    assert kept(here.bundle) == []


def test_pipes_and_link_loops_among_the_engines_hold_nobody_up(device: Builder) -> None:
    here = device({"fp16": GOOD})
    here.build("fp16")
    folder = here.bundle.folder / "engines"
    sidecar = next(folder.glob("*/fp16.json"))
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "itself").symlink_to(folder / "itself")
    (folder / "file").write_text("no folder")
    os.mkfifo(sidecar.with_name("pipe.json"))
    sidecar.with_name("loop.json").symlink_to("loop.json")
    assert [engine.facts.precision for engine in kept(here.bundle)] == ["fp16"]
    engine = sidecar.with_suffix(".engine")
    engine.unlink()
    os.mkfifo(engine)
    with pytest.raises(InputError, match=r"fp16\.engine is a pipe.*build it again"):
        load(sidecar).read()
