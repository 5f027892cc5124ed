"""The names of TensorRT's Python API that the code uses exist in every version that it claims to support.

``tensorrt_api.json`` lists the public names of the classes in question, as found in NVIDIA's own bindings
(tensorrt-bindings 8.6.1, tensorrt-cu12-bindings 10.3.0, tensorrt-cu13-bindings 11.4.0.106). TensorRT-RTX and
the lean runtime are asked themselves.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import microaunet_runtime
from microaunet_runtime.inference.tensorrt.versions import TABLE, capabilities

RUNTIME = Path(microaunet_runtime.__file__).parent
VERSIONS = "inference/tensorrt/versions.py"
BACKEND = "inference/tensorrt/backend.py"
API: dict[str, dict[str, list[str]]] = json.loads(Path(__file__).with_name("tensorrt_api.json").read_text())

# Which variables hold objects of TensorRT, by file. "module" is TensorRT itself everywhere.
VARIABLES = {
    BACKEND: {
        "engine": "ICudaEngine",
        "context": "IExecutionContext",
        "runtime": "Runtime",
        "inspector": "EngineInspector",
        "kinds": "DataType",
        "modes": "TensorIOMode",
    },
    "building/compiling.py": {"config": "IBuilderConfig", "network": "INetworkDefinition"},
}

# The progress monitor's methods are overridden, not called: they must be the ones that TensorRT calls.
OVERRIDES = {"phase_start", "step_complete", "phase_finish"}


@cache
def used_names(file: str) -> set[tuple[str, str]]:
    """(class, name) of every attribute of a TensorRT object; the class of the module itself is "module"."""
    return set(_names(ast.parse((RUNTIME / file).read_text()), VARIABLES.get(file, {})))


def _names(tree: ast.AST, variables: dict[str, str]) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr.startswith("__"):
            continue
        owner = node.value
        if isinstance(owner, ast.Attribute) and owner.attr == "module":
            yield "module", node.attr
        elif isinstance(owner, ast.Attribute) and getattr(owner.value, "attr", "") == "module":
            yield owner.attr, node.attr
        elif isinstance(owner, ast.Name) and owner.id in variables:
            yield variables[owner.id], node.attr


def files() -> list[str]:
    """The files that may speak to TensorRT."""
    folders = (RUNTIME / "inference" / "tensorrt", RUNTIME / "building")
    return [
        path.relative_to(RUNTIME).as_posix() for folder in folders for path in sorted(folder.glob("*.py"))
    ]


def missing_from(module: ModuleType, names: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The names that an installed TensorRT lacks."""
    return {
        (owner, name)
        for owner, name in names
        if not hasattr(module if owner == "module" else getattr(module, owner), name)
    }


def test_the_scan_finds_what_the_code_uses() -> None:
    assert {
        ("IExecutionContext", "execute_async_v3"),
        ("IExecutionContext", "set_tensor_address"),
        ("Runtime", "deserialize_cuda_engine"),
        ("DataType", "UINT8"),
        ("module", "Runtime"),
    } <= used_names(BACKEND)
    assert ("BuilderFlag", "TF32") in used_names("building/compiling.py")


@pytest.mark.parametrize("version", API)
def test_every_name_outside_the_version_module_exists_in(version: str) -> None:
    table = API[version]
    lacking = {
        (file, owner, name)
        for file in files()
        if file != VERSIONS
        for owner, name in used_names(file)
        if name not in table.get(owner, [])
    }
    assert not lacking


def test_every_name_exists_in_tensorrt_rtx() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (microaunet[rtx])")
    assert not missing_from(trt, set().union(*(used_names(file) for file in files())))
    assert set(dir(trt.IProgressMonitor)) >= OVERRIDES


def test_every_name_of_the_backend_exists_in_the_lean_runtime() -> None:
    lean = pytest.importorskip(
        "tensorrt_lean_bindings", reason="tensorrt-lean-cu13-bindings is not installed"
    )
    assert lean.__version__.startswith("11.4.")
    # It names the class of the inspector nowhere, but gives one.
    assert not missing_from(lean, {used for used in used_names(BACKEND) if used[0] != "EngineInspector"})


@pytest.mark.parametrize("version", API)
def test_the_capabilities_are_those_of(version: str) -> None:
    table, claimed = API[version], capabilities("tensorrt", version)
    assert claimed.strongly_typed == ("STRONGLY_TYPED" in table["NetworkDefinitionCreationFlag"])
    assert claimed.precision_flags == ({"FP16", "INT8"} <= set(table["BuilderFlag"]))
    assert claimed.progress_monitor == ("IProgressMonitor" in table)
    assert claimed.progress_monitor == ("progress_monitor" in table["IBuilderConfig"])
    assert claimed.names_target == ("ComputeCapability" in table)
    if claimed.progress_monitor:
        assert set(table["IProgressMonitor"]) >= OVERRIDES


def test_tensorrt_rtx_has_its_capabilities() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed (microaunet[rtx])")
    claimed = capabilities("tensorrt_rtx", trt.__version__)
    assert claimed.strongly_typed == hasattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED")
    assert claimed.precision_flags == hasattr(trt.BuilderFlag, "FP16")
    assert claimed.names_target == hasattr(trt, "ComputeCapability")


def test_a_version_before_the_oldest_is_refused_with_the_remedy() -> None:
    with pytest.raises(Exception, match=r"8\.5\.2 is older than 8\.6.*JetPack 6"):
        capabilities("tensorrt", "8.5.2")
    assert min(TABLE["tensorrt"]) == (8, 6)


def imported_packages(path: Path) -> set[str]:
    """The top-level packages that a file imports by absolute name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add((node.module or "").split(".")[0])
    return found


def test_nothing_but_the_cuda_layer_imports_a_cuda_binding() -> None:
    touching = {
        path.relative_to(RUNTIME).as_posix()
        for path in RUNTIME.rglob("*.py")
        if imported_packages(path) & {"cuda", "pycuda"}
    }
    assert touching == {"inference/cuda/cuda_python.py", "inference/cuda/pycuda.py"}
