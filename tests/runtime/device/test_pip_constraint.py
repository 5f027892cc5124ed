"""The constraint really keeps numpy 2 out: pip itself is asked, with packages made here."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from microaunet_runtime.device.pip_constraint import constrain, constrained

OPTIONS = "-m pip install --dry-run --ignore-installed --no-index --target site"


def wheel(folder: Path, name: str, version: str, requires: str = "") -> None:
    """The smallest package that pip can resolve."""
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    folder = tmp_path / "packages"
    folder.mkdir()
    wheel(folder, "numpy", "1.26.4")
    wheel(folder, "numpy", "2.2.6")
    wheel(folder, "onnxruntime", "1.23.2", "numpy>=1.21.6")
    return folder


def would_install(environment: Path, packages: Path) -> str:
    """What pip would bring with onnxruntime, in an environment whose own pip.conf it reads."""
    # PIP_CONFIG_FILE is what a venv's pip.conf is to the pip of that venv, without making one.
    done = subprocess.run(
        [sys.executable, *OPTIONS.split(), "--find-links", str(packages), "onnxruntime"],
        cwd=environment,
        env={"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": str(environment / "pip.conf")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_after_the_command_pip_brings_no_numpy_2(tmp_path: Path, packages: Path) -> None:
    environment = tmp_path / "environment"
    environment.mkdir()
    (environment / "pip.conf").write_text("")
    assert "numpy-2.2.6" in would_install(environment, packages)
    assert not constrained(environment)
    subprocess.run(["sh", "-c", constrain(environment)], check=True)
    assert "numpy-1.26.4" in would_install(environment, packages)
    assert constrained(environment) == str(environment / "constraints.txt")


def test_the_guides_own_lines_make_the_constraint(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "jetson.md").read_text()
    lines = [line.strip() for line in guide.splitlines() if line.startswith("    printf ")]
    assert len(lines) == 2
    (tmp_path / "microaunet").mkdir()
    subprocess.run(["bash", "-c", "\n".join(lines)], env={"HOME": str(tmp_path)}, check=True)
    assert constrained(tmp_path / "microaunet") == str(tmp_path / "microaunet" / "constraints.txt")


@pytest.mark.parametrize(
    ("conf", "constraints"),
    [
        ("", ""),
        ("nonsense", "numpy<2"),
        ("[install]\nconstraint = {file}", "opencv-python<5"),
        ("[install]", "numpy<2"),
    ],
)
def test_what_does_not_keep_numpy_is_no_constraint(tmp_path: Path, conf: str, constraints: str) -> None:
    (tmp_path / "constraints.txt").write_text(constraints)
    (tmp_path / "pip.conf").write_text(conf.format(file=tmp_path / "constraints.txt"))
    assert not constrained(tmp_path)
