"""Nothing leaves the machine: no library that is used looks up a host, connects, or leaves a file at home."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from redness import write_bundle

from microaunet_runtime.images.synthetic import write_set

SESSION = """
import numpy as np, sys, time
from microaunet_runtime import open_session
with open_session(sys.argv[1], backend="onnxruntime") as session:
    session.run(np.zeros((64, 96, 3), np.uint8))
time.sleep(float(sys.argv[2]))
"""


class Room:
    """A home of its own, and processes in it that are watched.

    Their environment is bare: libraries that see a CI's or a test's variables keep quiet by themselves.
    """

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self._seen = folder / "seen.txt"
        self._witness = folder / "witness.so"
        compiler = shutil.which("cc")
        if not (sys.platform.startswith("linux") and compiler):
            pytest.skip("watching a process's connections needs Linux and a C compiler")
        source = Path(__file__).with_name("witness.c")
        build = [compiler, "-shared", "-fPIC", "-o", str(self._witness), str(source), "-ldl"]
        subprocess.run(build, check=True)

    def python(self, *arguments: str) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "OMP_NUM_THREADS": "1",
            "LD_PRELOAD": str(self._witness),
            "WITNESS": str(self._seen),
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode in (0, 3), done.stderr
        return done.stdout

    def command(self, module: str, *arguments: object) -> None:
        self.python("-c", f"from {module} import main; main()", *map(str, arguments))

    def network(self) -> list[str]:
        return self._seen.read_text().splitlines() if self._seen.exists() else []

    def files(self) -> list[str]:
        return [path.relative_to(self.home).as_posix() for path in self.home.rglob("*") if path.is_file()]


@pytest.fixture
def room(tmp_path: Path) -> Room:
    return Room(tmp_path)


def test_a_session_leaves_no_file_at_home_and_connects_to_nothing(room: Room, tmp_path: Path) -> None:
    room.python("-c", SESSION, str(write_bundle(tmp_path / "bundle")), "0")
    assert room.files() == []
    assert room.network() == []


@pytest.mark.slow
def test_a_session_connects_to_nothing_later_either(room: Room, tmp_path: Path) -> None:
    """ONNX Runtime's telemetry waits for some seconds before it connects."""
    room.python("-c", SESSION, str(write_bundle(tmp_path / "bundle")), "12")
    assert room.network() == []


@pytest.mark.parametrize("package", ["microaunet_runtime", "microaunet_export", "benchmarks"])
def test_telemetry_is_off_before_a_package_can_import_onnx_runtime(room: Room, package: str) -> None:
    code = f"import os, {package}; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert room.python("-c", code) == "1\n"


def test_the_witness_sees_a_connection(room: Room) -> None:
    room.python("-c", "import socket; s = socket.socket(); s.connect_ex(('127.0.0.1', 9))")
    room.python("-c", "import socket; socket.getaddrinfo('localhost', 80)")
    assert room.network() == ["connected to an address", "looked up localhost"]


@pytest.mark.slow
def test_no_command_connects_or_leaves_another_s_file_at_home(room: Room, tmp_path: Path) -> None:
    """Each command once. Matplotlib keeps a list of fonts, and what this project keeps has its own folder."""
    pytest.importorskip("torch")
    data, train, bundle = tmp_path / "data", tmp_path / "train", tmp_path / "bundle"
    write_set(data, 20, seed=7, height=64, width=64)
    small = ("size=64", "stored_size=64", "resolutions=[[0, 64]]", "epochs=2", "distillation=null")
    sets = [part for change in small for part in ("--set", change)]
    room.command("microaunet.commands.train", "--data", data, "--out", train, "--device", "cpu", *sets)
    room.command(
        "microaunet_export.commands.export",
        *("--weights", train / "weights.safetensors", "--int8", "--calib", data, "--out", bundle),
    )
    runtime = "microaunet_runtime.commands"
    of = ("--bundle", bundle)
    room.command(f"{runtime}.run.command", *of, "--source", data / "images", "--out", tmp_path / "run")
    room.command(f"{runtime}.eval", *of, "--data", data, "--out", tmp_path / "eval")
    room.command(f"{runtime}.bench", "latency", *of, "--frames", 20, "--out", tmp_path / "bench")
    room.command(f"{runtime}.doctor")
    if importlib.util.find_spec("tensorrt_rtx"):
        room.command(f"{runtime}.build", *of, "--precision", "fp16", "--compute-capability", "SM86")
    assert room.network() == []
    strange = [
        name
        for name in room.files()
        if not re.match(r"\.(cache|config|local/state)/(matplotlib|microaunet)/", name)
    ]
    assert strange == []
