"""The doctor works on a machine that has nothing, and every gap comes with its remedy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from boards import NANO_SUPER, Board
from typer.testing import CliRunner

from microaunet_runtime.commands.doctor import app
from microaunet_runtime.device import doctor
from microaunet_runtime.device.doctor import Finding, examine, jetpack_of, l4t_release
from microaunet_runtime.errors import MissingDependencyError
from microaunet_runtime.inference import cuda


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def jetson(board: Board, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Finding]]:
    """What the doctor says on a board with this L4T release and nothing else installed."""

    def missing(*_: object) -> None:
        raise MissingDependencyError("not installed here")

    def examined(release: str, model: str = "Jetson") -> dict[str, Finding]:
        board.write(nv_tegra_release=release)
        read = doctor.read_text
        said = {Path("/proc/device-tree/model"): model, Path("/proc/driver/nvidia/version"): None}
        monkeypatch.setattr(
            doctor, "read_text", lambda path, lines=None: said[path] if path in said else read(path, lines)
        )
        monkeypatch.setattr(doctor, "installed", missing)
        monkeypatch.setattr(cuda, "provider", missing)
        return by_name(examine())

    return examined


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


JETPACK_6_2 = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic"


def test_an_orin_with_jetpack_6_gets_the_boards_own_commands(
    board: Board, jetson: Callable[..., dict[str, Finding]]
) -> None:
    board.cpu(115_000, 1_728_000)
    board.gpu(306_000_000, 1_020_000_000)
    board.tool("nvpmodel", "NV Power Mode: 15W\n0")
    board.write(**{"nvpmodel.conf": NANO_SUPER})
    board.write(thermal__thermal_zone0__type="gpu-thermal", thermal__thermal_zone0__temp=48_000)
    (board.root / "nvgpu").mkdir()
    found = jetson(JETPACK_6_2, "NVIDIA Jetson Orin Nano Developer Kit")
    assert found["board"].found.startswith("NVIDIA Jetson Orin Nano")
    assert found["JetPack"] == Finding("JetPack", "6.2 (L4T 36.4.3)")
    assert found["power mode"].found == "15W (0 of 0 15W, 1 25W, 2 MAXN_SUPER, 3 7W)"
    assert found["power mode"].fix == "sudo nvpmodel -m 2  # MAXN_SUPER"
    assert found["CPU clocks"].fix == found["GPU clocks"].fix == "sudo jetson_clocks"
    assert found["GPU clocks"].found == "not locked, 306 to 1020 MHz (now 306 MHz)"
    assert found["temperatures"].found == "gpu-thermal 48 C"
    assert found["NVIDIA driver"].found.startswith("nvgpu")
    assert not found["NVIDIA driver"].fix
    assert "python3-libnvinfer" in found["TensorRT"].fix
    assert "--system-site-packages" in found["TensorRT"].fix
    assert "cuda-bindings<13" in found["CUDA binding"].fix


def test_locked_clocks_and_the_strongest_mode_need_nothing(
    board: Board, jetson: Callable[..., dict[str, Finding]]
) -> None:
    board.cpu(1_728_000, 1_728_000)
    board.gpu(1_020_000_000, 1_020_000_000)
    board.tool("nvpmodel", "NV Power Mode: MAXN_SUPER\n2")
    board.write(**{"nvpmodel.conf": NANO_SUPER})
    found = jetson(JETPACK_6_2)
    assert found["GPU clocks"] == Finding("GPU clocks", "locked at 1020 MHz (now 1020 MHz)")
    assert not found["CPU clocks"].fix
    assert not found["power mode"].fix


def test_numpy_2_under_jetpacks_opencv_is_told_as_the_cause(
    jetson: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def imported(name: str) -> None:
        raise ImportError("numpy.core.multiarray failed to import")

    monkeypatch.setattr(doctor.importlib, "import_module", imported)
    monkeypatch.setattr(doctor, "_version", lambda package: {"numpy": "2.2.6"}.get(package, ""))
    monkeypatch.setattr(sys, "prefix", "/home/me/microaunet")
    found = jetson(JETPACK_6_2)["OpenCV"]
    assert "built for numpy 1 and does not import under numpy 2.2.6" in found.found
    assert found.fix.startswith("pip install 'numpy<2'; printf 'numpy<2")
    assert "/home/me/microaunet/pip.conf" in found.fix


def test_no_advice_brings_numpy_2_to_a_jetson(
    jetson: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "_version", lambda package: "")
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    found = jetson(JETPACK_6_2)
    assert found["onnxruntime"].fix == "pip install onnxruntime 'numpy<2'"
    assert found["pip's constraint"].fix
    subprocess.run(["sh", "-c", found["pip's constraint"].fix], check=True)
    assert not jetson(JETPACK_6_2)["pip's constraint"].fix


def test_jetpack_5_is_out_of_reach(jetson: Callable[..., dict[str, Finding]]) -> None:
    found = jetson("# R35 (release), REVISION: 4.1")
    assert "flash JetPack 6" in found["JetPack"].fix


@pytest.mark.parametrize(
    ("l4t", "jetpack"),
    [
        ("36.3.0", "6.0"),
        ("36.4.0", "6.1"),
        ("36.4.3", "6.2"),
        ("36.4.7", "6.2.1"),
        ("36.5.0", "6.2.1 or 6.2.2"),
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
