"""Which TensorRT is installed, and what each version offers. No other module checks versions.

version          strongly typed   precision flags   progress monitor   ONNX opset up to   without a GPU
8.6              no               yes               no                 17                 no
10.0 and later   yes              yes, deprecated   yes                20                 no
11.0 and later   yes              no                yes                22                 no
TensorRT-RTX     yes              no                yes                22                 for a named GPU
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from ...errors import InputError, MissingDependencyError

REMEDY = (
    "on a Jetson use JetPack's own TensorRT (a virtual environment with --system-site-packages); "
    "on a PC install microaunet[rtx]"
)


@dataclass(frozen=True)
class Capabilities:
    """The features of a TensorRT version that this project uses.

    Attributes:
        strongly_typed: networks whose types are the ONNX file's.
        precision_flags: BuilderFlag.FP16 and INT8, which let a weakly typed network run in lower precision.
        progress_monitor: IProgressMonitor, which says how far a build is and can stop it.
        newest_opset: the newest ONNX opset that this project gives to the parser.
        names_target: builds for a compute capability given by name, on a machine without a GPU.
    """

    strongly_typed: bool
    precision_flags: bool
    progress_monitor: bool
    newest_opset: int
    names_target: bool = False


# By flavour, from the oldest version: an entry holds until the next one.
TABLE: dict[str, dict[tuple[int, int], Capabilities]] = {
    "tensorrt": {
        (8, 6): Capabilities(
            strongly_typed=False, precision_flags=True, progress_monitor=False, newest_opset=17
        ),
        (10, 0): Capabilities(
            strongly_typed=True, precision_flags=True, progress_monitor=True, newest_opset=20
        ),
        (11, 0): Capabilities(
            strongly_typed=True, precision_flags=False, progress_monitor=True, newest_opset=22
        ),
    },
    "tensorrt_rtx": {
        (1, 0): Capabilities(True, False, True, newest_opset=22, names_target=True),
    },
}


@dataclass(frozen=True)
class TensorRT:
    """An installed TensorRT: ``flavour`` is the name of its Python module, ``module`` the module itself."""

    flavour: str
    version: str
    module: Any
    capabilities: Capabilities

    @property
    def title(self) -> str:
        """The name for people, with the version."""
        return f"{'TensorRT-RTX' if self.flavour == 'tensorrt_rtx' else 'TensorRT'} {self.version}"

    @property
    def progress_monitor(self) -> Any | None:
        """The class of TensorRT's progress monitor, or None if there is none."""
        return self.module.IProgressMonitor if self.capabilities.progress_monitor else None

    @property
    def targets(self) -> dict[str, tuple[int, int]]:
        """The GPUs that it builds for by name, e.g. ``SM86`` -> (8, 6); empty where it builds for its own."""
        if not self.capabilities.names_target:
            return {}
        names = [name for name in self.module.ComputeCapability.__members__ if name[2:].isdigit()]
        return {name: (int(name[2:-1]), int(name[-1])) for name in names}


@cache
def installed() -> TensorRT:
    """The TensorRT of this Python: ``tensorrt``, or else ``tensorrt_rtx``.

    Raises:
        MissingDependencyError: neither can be imported.
        InputError: the version is older than 8.6.
    """
    failures = []
    for flavour in TABLE:
        try:
            module = importlib.import_module(flavour)
            version = str(module.__version__)
        except Exception as error:  # a broken install raises whatever its loader raises
            failures.append(f"{flavour}: {error}")
            continue
        return TensorRT(flavour, version, module, capabilities(flavour, version))
    raise MissingDependencyError(f"no TensorRT can be imported ({'; '.join(failures)}): {REMEDY}")


def capabilities(flavour: str, version: str) -> Capabilities:
    """The capabilities of ``version`` of ``flavour``.

    Raises:
        InputError: the version is older than the oldest supported one.
    """
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    known = [found for oldest, found in TABLE[flavour].items() if oldest <= number]
    if not known:
        oldest = ".".join(map(str, min(TABLE[flavour])))
        raise InputError(
            f"{flavour} {version} is older than {oldest}, the oldest supported: JetPack 6 or later has one"
        )
    return known[-1]
