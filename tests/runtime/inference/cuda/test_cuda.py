"""The CUDA layer, as far as a machine without a GPU shows it; tests/gpu does the rest."""

from __future__ import annotations

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

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
    "Event",
    "Stream",
    "ctx_flags",
    "ctx_flags.SCHED_SPIN",
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


class RecordingDriver:
    """Stands before the driver's functions: notes what is called, and says that it went well."""

    def __init__(self, real: Any, refused: str = "") -> None:
        self.real, self.refused = real, refused
        self.called: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("cu"):
            return getattr(self.real, name)

        def function(*arguments: Any) -> tuple[Any, ...]:
            self.called.append((name, *arguments))
            results = self.real.CUresult
            if name.startswith("cuGetError"):
                return results.CUDA_SUCCESS, b"refused"
            return (results.CUDA_ERROR_INVALID_VALUE if name == self.refused else results.CUDA_SUCCESS), 7

        function.__name__ = name
        return function


@pytest.mark.parametrize("refused", ["", "cuDevicePrimaryCtxSetFlags"])
def test_a_process_has_one_context_and_its_waits_spin(monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    real = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")
    from microaunet_runtime.inference.cuda import cuda_python

    fake = RecordingDriver(real, refused)
    monkeypatch.setattr(cuda_python, "driver", fake)
    cuda_python._primary.cache_clear()
    try:
        assert cuda_python.PROVIDER.context() is cuda_python.PROVIDER.context()
    finally:
        cuda_python._primary.cache_clear()
    names = [name for name, *_ in fake.called if name.startswith("cuDevicePrimary")]
    assert names == ["cuDevicePrimaryCtxSetFlags", "cuDevicePrimaryCtxRetain"]
    assert ("cuDevicePrimaryCtxSetFlags", 7, real.CUctx_flags.CU_CTX_SCHED_SPIN.value) in fake.called


def test_pycudas_context_is_one_too_and_its_waits_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    # pycuda is compiled where a CUDA toolkit is: what is called of it stands in for it here.
    called: list[object] = []

    class Device:
        count = staticmethod(lambda: 1)

        def __init__(self, number: int) -> None:
            assert number == 0

        def retain_primary_context(self) -> str:
            called.append("retained")
            return "the context"

    driver = ModuleType("pycuda.driver")
    vars(driver).update(
        init=lambda: None, Device=Device, Error=RuntimeError, ctx_flags=SimpleNamespace(SCHED_SPIN=1)
    )
    package = ModuleType("pycuda")
    vars(package).update(driver=driver)
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    name = "microaunet_runtime.inference.cuda.pycuda"
    monkeypatch.delitem(sys.modules, name, raising=False)
    provider = importlib.import_module(name)
    library = SimpleNamespace(cuDevicePrimaryCtxSetFlags_v2=lambda *given: called.append(given))
    monkeypatch.setattr(provider.ctypes, "CDLL", lambda _: library)
    assert provider.PROVIDER.context() is provider.PROVIDER.context()
    assert called == [(0, 1), "retained"]
    monkeypatch.delitem(sys.modules, name)


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
