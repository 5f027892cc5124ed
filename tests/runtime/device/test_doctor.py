"""The doctor works on a machine that has nothing, and every gap comes with its remedy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from microaunet_runtime.commands.doctor import app
from microaunet_runtime.device import doctor
from microaunet_runtime.device.doctor import Finding, examine, jetpack_of, l4t_release
from microaunet_runtime.errors import MissingDependencyError
from microaunet_runtime.inference import cuda


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def on_a_jetson(monkeypatch: pytest.MonkeyPatch, release: str, model: str = "Jetson") -> dict[str, Finding]:
    """What the doctor says on a board with this L4T release and nothing else installed."""
    files = {"/etc/nv_tegra_release": release, "/proc/device-tree/model": model}
    monkeypatch.setattr(doctor, "read_text", lambda path, lines=None: files.get(str(path)))
    monkeypatch.setattr(doctor, "command_output", lambda *command: "NV Power Mode: MAXN_SUPER\n2")
    free = {"governor": "schedutil", "min_mhz": 115, "max_mhz": 1728, "locked": False}
    monkeypatch.setattr(doctor, "clocks", lambda: free)

    def missing(*_: object) -> None:
        raise MissingDependencyError("not installed here")

    monkeypatch.setattr(doctor, "installed", missing)
    monkeypatch.setattr(cuda, "provider", missing)
    return by_name(examine())


def test_the_command_runs_here_and_writes_its_findings(tmp_path: Path) -> None:
    record = tmp_path / "doctor.json"
    result = CliRunner().invoke(app, ["--json", str(record)])
    assert result.exit_code == 0, result.output
    findings = json.loads(record.read_text())["findings"]
    names = {"board", "Python", "JetPack", "power mode", "GPU", "NVIDIA driver", "CUDA binding", "TensorRT"}
    assert names <= {finding["name"] for finding in findings}
    assert all(finding["found"] for finding in findings)


def test_a_python_with_nothing_installed_gets_a_remedy_for_each_thing() -> None:
    # Only what the base install brings can be imported: no engine, no OpenCV, no CUDA.
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("cv2", "tensorrt", "tensorrt_rtx", "cuda", "pycuda", "onnxruntime"):
            raise ImportError(f"No module named {name}")
sys.meta_path.insert(0, Absent())
from microaunet_runtime.commands.doctor import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "TensorRT (for the TensorRT backend and microaunet-build): pip install 'microaunet[rtx]'" in text
    assert "CUDA binding (for TensorRT): install cuda-bindings" in text
    assert text.count("microaunet[rtx]") == 2  # markup of the terminal must not swallow the brackets
    assert "OpenCV (for every frame): pip install 'microaunet[cpu]'" in text


def test_an_orin_with_jetpack_6_gets_the_boards_own_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    release = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic"
    found = on_a_jetson(monkeypatch, release, "NVIDIA Jetson Orin Nano Developer Kit")
    assert found["board"].found.startswith("NVIDIA Jetson Orin Nano")
    assert found["JetPack"] == Finding("JetPack", "6.2 (L4T 36.4.3)")
    assert found["power mode"].found == "NV Power Mode: MAXN_SUPER 2"
    assert found["CPU clocks"].fix == "sudo jetson_clocks"
    assert "python3-libnvinfer" in found["TensorRT"].fix
    assert "--system-site-packages" in found["TensorRT"].fix
    assert "cuda-bindings<13" in found["CUDA binding"].fix


def test_jetpack_5_is_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    found = on_a_jetson(monkeypatch, "# R35 (release), REVISION: 4.1")
    assert "flash JetPack 6" in found["JetPack"].fix


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ("36.3.0", "6.0"),
        ("36.4.0", "6.1"),
        ("36.4.3", "6.2"),
        ("38.2.0", "7.0"),
        ("39.2", "7.2"),
        ("40.0", None),
    ],
)
def test_the_jetpack_of_a_release(l4t: str, jetpack: str | None) -> None:
    assert jetpack_of(l4t) == jetpack


@pytest.mark.parametrize("line", ["", "Ubuntu 22.04", "# R36 (release)"])
def test_another_system_is_no_jetson(line: str) -> None:
    assert l4t_release(line) is None
