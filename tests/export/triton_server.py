"""A real Triton server on loopback, the one inside nvidia-pytriton, with a repository that was exported.

It has no ONNX Runtime backend, so that its Python backend runs the exported graph by ONNX Runtime: graph and
configuration are the exported ones, but for the names of the backend and of its file.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

VARIABLE = "MICROAUNET_PYTRITON"

MODEL = """
from pathlib import Path

import onnxruntime
import triton_python_backend_utils as utils

NAMES = ["probability", "mask", "presence"]


class TritonPythonModel:
    def initialize(self, args):
        path = str(Path(__file__).with_name("model.onnx"))
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def execute(self, requests):
        return [self.answer(utils.get_input_tensor_by_name(each, "frame").as_numpy()) for each in requests]

    def answer(self, frames):
        found = self.session.run(NAMES, {"frame": frames})
        return utils.InferenceResponse([utils.Tensor(*each) for each in zip(NAMES, found)])
"""


def pytriton() -> Path:
    """The Python that has nvidia-pytriton and onnxruntime; skips the test where there is none."""
    python = Path(os.environ.get(VARIABLE, ""))
    if not os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} names no Python with nvidia-pytriton and onnxruntime: see CONTRIBUTING.md")
    imported = subprocess.run([python, "-c", "import pytriton, onnxruntime"], capture_output=True, text=True)
    if imported.returncode:
        pytest.skip(f"{VARIABLE}: {imported.stderr.strip().splitlines()[-1]}")
    return python


class TritonProcess:
    """Serves the ONNX Runtime repository ``exported``; its copy and its log are in ``folder``."""

    def __init__(self, exported: Path, folder: Path) -> None:
        python = pytriton()
        asked = "import sysconfig, sys; print(sysconfig.get_path('purelib'), '%d.%d' % sys.version_info[:2])"
        answer = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
        packages, version = answer.stdout.split()
        server = Path(packages) / "pytriton" / "tritonserver"
        repository, backends = folder / "repository", folder / "backends"
        shutil.copytree(exported, repository)
        for config in repository.glob("*/config.pbtxt"):
            text = config.read_text().replace('backend: "onnxruntime"', 'backend: "python"')
            config.write_text(text.replace('"model.onnx"', '"model.py"'))
            (config.parent / "1" / "model.py").write_text(MODEL)
        shutil.copytree(server / "backends", backends)
        stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
        shutil.copy(stub, backends / "python")
        self.port = _free_port()
        self.url = f"localhost:{self.port}"
        self._log = folder / "server.log"
        self._memory = f"microaunet-triton-{os.getpid()}-{self.port}"
        self._command = [
            str(server / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={backends}",
            f"--backend-config=python,shm-region-prefix-name={self._memory}",
            f"--grpc-port={self.port}",
            "--grpc-address=127.0.0.1",
            "--allow-http=false",
            "--allow-metrics=false",
        ]
        self._environment = {
            **os.environ,
            "PATH": f"{python.parent}:{os.environ['PATH']}",
            "PYTHONPATH": packages,
            "LD_LIBRARY_PATH": str(Path(packages) / "nvidia_pytriton.libs"),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        """End it and its backends as a power cut would."""
        if self._process:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def log(self) -> str:
        """The end of what it said."""
        return self._log.read_text(errors="replace")[-3000:]

    def __enter__(self) -> TritonProcess:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
        for left in Path("/dev/shm").glob(f"{self._memory}*"):  # a server that is killed leaves it behind
            left.unlink()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
