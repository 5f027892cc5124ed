"""The runtime as a library: what importing it loads, and what it can do without."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import microaunet_runtime

ROOT = Path(microaunet_runtime.__file__).parent


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_importing_it_loads_no_command_line_no_engine_and_no_opencv() -> None:
    heavy = ("typer", "click", "rich", "cv2", "onnxruntime", "tensorrt", "tensorrt_rtx", "torch", "onnx")
    done = python(f"import sys, microaunet_runtime; print(sorted({{*{heavy}}} & set(sys.modules)))")
    assert done.stdout.strip() == "[]", done.stderr


def test_every_module_but_the_commands_does_without_typer_and_rich() -> None:
    modules = [
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in sorted(ROOT.rglob("*.py"))
        if path.name not in ("__init__.py", "console.py")
        and path.parent.name not in ("cuda", "commands", "run")
        and (path.parent.name != "web" or find_spec("uvicorn"))
    ]
    assert "microaunet_runtime.building.build" in modules
    done = python(
        "import sys, importlib; sys.modules.update(typer=None, rich=None)\n"
        f"for name in {modules}: importlib.import_module(name)"
    )
    assert done.returncode == 0, done.stderr


def test_a_command_without_typer_is_one_clear_error() -> None:
    done = python(
        "import sys; sys.modules['typer'] = None\n"
        "from microaunet_runtime.commands.run.command import main; main()"
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "pip install 'microaunet[commands]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
