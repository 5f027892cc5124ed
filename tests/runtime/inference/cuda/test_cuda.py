"""The CUDA layer, as far as a machine without a GPU shows it; tests/gpu does the rest."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import microaunet_runtime
from microaunet_runtime.inference import cuda
from microaunet_runtime.inference.cuda import MissingDependencyError

SOURCE = Path(microaunet_runtime.__file__).parent / "inference" / "cuda"

# Read from the sources of pycuda 2026.1; it has to be compiled where a CUDA toolkit is.
PYCUDA = {
    "Context",
    "Context.pop",
    "Device",
    "Device.count",
    "Error",
    "Stream",
    "device_attribute",
    "device_attribute.INTEGRATED",
    "device_attribute.MULTIPROCESSOR_COUNT",
    "get_driver_version",
    "host_alloc_flags",
    "host_alloc_flags.DEVICEMAP",
    "init",
    "mem_alloc",
    "memcpy_dtoh_async",
    "memcpy_htod_async",
    "pagelocked_empty",
}


def names_of_driver(file: str) -> set[str]:
    """Dotted names that a provider takes from its binding, e.g. ``CUresult.CUDA_SUCCESS``."""
    found = set()
    for node in ast.walk(ast.parse((SOURCE / file).read_text())):
        name = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if re.fullmatch(r"driver[.\w]+", name):
            found.add(name.removeprefix("driver."))
    return found


def test_every_name_exists_in_cuda_bindings() -> None:
    driver = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    names = names_of_driver("cuda_python.py")
    assert {"cuMemHostAlloc", "cuStreamBeginCapture", "CUresult.CUDA_SUCCESS"} <= names
    for name in names:
        found = driver
        for part in name.split("."):
            found = getattr(found, part)


def test_every_name_exists_in_pycuda() -> None:
    names = names_of_driver("pycuda.py")
    assert "mem_alloc" in names
    assert names <= PYCUDA


def test_a_capture_is_local_to_its_thread() -> None:
    assert any(name.endswith("CAPTURE_MODE_THREAD_LOCAL") for name in names_of_driver("cuda_python.py"))


def test_a_machine_without_a_gpu_is_one_clear_error() -> None:
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    code = "from microaunet_runtime.inference import cuda; print(cuda.device())"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("microaunet_runtime.inference.cuda.CudaError: ")
    assert any(remedy in last for remedy in ("install the NVIDIA driver", "finds no GPU", "NO_DEVICE"))


def test_no_binding_at_all_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = importlib.import_module

    def without_bindings(name: str, package: str | None = None) -> object:
        if name in (".cuda_python", ".pycuda"):
            raise ImportError(f"No module named {name[1:]}")
        return imported(name, package)

    monkeypatch.setattr(importlib, "import_module", without_bindings)
    with pytest.raises(MissingDependencyError, match=r"cuda-bindings<13.*JetPack 6.*JetPack 7.*pycuda"):
        cuda.provider()
