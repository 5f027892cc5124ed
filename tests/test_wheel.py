"""The wheel as a user gets it: not editable, in an environment of its own, with weights inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.slow


def commands() -> list[str]:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        return list(tomllib.load(stream)["project"]["scripts"])


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the wheel; the dependencies are lent by the one that runs the tests.

    A folder named in a .pth file is searched, but .pth files inside it (the editable install's) are not.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel],
        capture_output=True,
        text=True,
    )
    assert installed.returncode == 0, installed.stderr
    (site,) = (folder / "lib").glob("python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def run(environment: Path, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command, *rest = map(str, arguments)
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [str(environment / "bin" / command), *rest], cwd=cwd, env=variables, capture_output=True, text=True
    )


def test_weights_are_inside_and_nothing_of_the_data_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
    assert "microaunet/weights/kvasir.safetensors" in names
    assert "microaunet/weights/kvasir.ranges.json" in names
    assert not [name for name in names if name.endswith((".jpg", ".png", ".mp4"))]
    assert {name.split("/")[0] for name in names} <= {
        "microaunet",
        "microaunet_export",
        "microaunet_runtime",
        *(name.split("/")[0] for name in names if ".dist-info" in name),
    }


def test_the_wheel_is_what_is_imported(environment: Path, tmp_path: Path) -> None:
    found = run(environment, "python", "-c", "import microaunet; print(microaunet.__file__)", cwd=tmp_path)
    assert found.stdout.startswith(str(environment)), found


@pytest.mark.parametrize("command", commands())
def test_every_command_explains_itself(command: str, environment: Path, tmp_path: Path) -> None:
    shown = run(environment, command, "--help", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Usage" in shown.stdout


def test_an_export_and_a_run_work_from_the_wheel_alone(environment: Path, tmp_path: Path) -> None:
    exported = run(
        environment, "microaunet-export", "--int8", "--out", "bundle", "--json", "e.json", cwd=tmp_path
    )
    assert exported.returncode == 0, exported.stdout + exported.stderr
    assert json.loads((tmp_path / "e.json").read_text())["artefacts"]["int8"]["passed"]
    checked = run(environment, "microaunet-run", "--bundle", "bundle", "--self-test", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
