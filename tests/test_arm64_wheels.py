"""Everything that the lean runtime asks for has a wheel for arm64, for JetPack 6's Python and JetPack 7's."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28")
EXTRAS = ("", "cpu", "jetson", "triton")


def lean_requirements(python: str) -> list[str]:
    """The requirements of the base install and of :data:`EXTRAS`, as an arm64 board reads them."""
    board = {"python_version": python, "python_full_version": f"{python}.0", "platform_machine": "aarch64"}
    found = []
    for line in metadata.requires("microaunet") or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**board, "extra": extra}) for extra in EXTRAS):
            found.append(f"{requirement.name}{requirement.specifier}")
    return found


def test_the_base_install_asks_for_numpy_alone() -> None:
    lines = [Requirement(line) for line in metadata.requires("microaunet") or []]
    assert [line.name for line in lines if line.marker is None] == ["numpy"]


@pytest.mark.parametrize("extra", ["cpu", "jetson", "rtx", "triton"])
def test_what_runs_frames_brings_the_commands(extra: str) -> None:
    lines = [Requirement(line) for line in metadata.requires("microaunet") or []]
    brought = {line.name for line in lines if line.marker and line.marker.evaluate({"extra": extra})}
    assert {"typer", "rich"} <= brought


def test_the_lean_install_asks_for_no_torch_and_no_onnx() -> None:
    names = {Requirement(line).name for line in lean_requirements("3.10")}
    assert {"numpy", "typer", "rich", "polygraphy"} <= names
    assert not names & {"torch", "onnx", "onnxsim", "kornia", "lightning-fabric"}


@pytest.fixture(scope="module")
def index() -> None:
    """A package index that answers for this machine."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--no-deps",
        "--ignore-installed",
    ]
    done = subprocess.run([*command, "typer"], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        pytest.skip(f"no package index can be asked: {done.stderr.strip().splitlines()[-1]}")


@pytest.mark.slow
@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("python", ["3.10", "3.12"])
def test_the_index_has_a_wheel_for_each_and_for_what_they_need(python: str, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--ignore-installed"]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python]
    command += [f"--platform={platform}_aarch64" for platform in PLATFORMS]
    command += ["--report", str(report), "--target", str(tmp_path / "nothing"), *lean_requirements(python)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    chosen = {item["metadata"]["name"].lower(): item for item in json.loads(report.read_text())["install"]}
    assert {"numpy", "onnxruntime", "opencv-python", "polygraphy", "cuda-bindings", "tritonclient"} <= set(
        chosen
    )
    for item in chosen.values():
        wheel = item["download_info"]["url"].rsplit("/", 1)[-1]
        assert wheel.endswith(("aarch64.whl", "none-any.whl")), wheel
