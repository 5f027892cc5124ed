"""One ONNX file in, one engine out, through Polygraphy's loaders."""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GateError, InputError, MicroAUNetError
from ..files import write_bytes
from ..inference.tensorrt.logger import explained, heard
from ..inference.tensorrt.versions import TensorRT
from ..optional import require
from .progress import followed

if TYPE_CHECKING:
    from rich.progress import Progress

_OUT_OF_MEMORY = re.compile(r"out of memory|outofmemory|cudaErrorMemoryAllocation|bad_alloc", re.IGNORECASE)


class BuildRefusedError(GateError):
    """TensorRT's parser or builder does not accept the graph."""


@dataclass(frozen=True)
class BuildSettings:
    """How an ONNX file is compiled: everything that changes the engine besides the file and the device.

    Attributes:
        strongly_typed: the file's types are binding; otherwise TensorRT may choose among ``flags``.
        flags: names of precision flags for a weakly typed network: ``FP16``, ``INT8``.
        workspace_mb: most scratch memory in MiB that the builder may use.
    """

    strongly_typed: bool
    flags: tuple[str, ...]
    workspace_mb: int


@dataclass(frozen=True)
class Compiled:
    """A serialised engine, and how long it took."""

    engine: bytes
    seconds: float


def compile_engine(
    onnx: bytes,
    settings: BuildSettings,
    trt: TensorRT,
    *,
    target: tuple[int, int] | None = None,
    timing_cache: Path | None = None,
    progress: Progress | None = None,
) -> Compiled:
    """The engine of one ONNX file, parsed and built now.

    Args:
        onnx: the file's bytes.
        target: compute capability to build for on any machine (TensorRT-RTX only); None: this machine's GPU.
        timing_cache: measured kernels of this device, read and added to.
        progress: shows the phases of the build.

    Raises:
        BuildRefusedError: the parser or the builder does not accept the graph, in its own words.
        InputError: out of memory, or this TensorRT cannot build for ``target``.
        MissingDependencyError: Polygraphy is not installed.
    """
    polygraphy = _polygraphy(trt)
    start = time.perf_counter()
    with _timing_cache(timing_cache) as cache, heard(trt) as errors, followed(trt, progress) as monitor:
        try:
            parsed = polygraphy.NetworkFromOnnxBytes(onnx, strongly_typed=settings.strongly_typed)()
            config = _config(polygraphy, settings, trt, target, cache, monitor)
            built = polygraphy.EngineBytesFromNetwork(parsed, config=config, save_timing_cache=cache)()
        except MemoryError as error:
            raise _explained("out of memory", settings) from error
        # The bindings raise TypeError for an object that TensorRT did not make, RuntimeError for the rest.
        except (polygraphy.PolygraphyException, TypeError, RuntimeError) as error:
            raise _explained(explained(errors) if errors else str(error), settings) from error
        return Compiled(bytes(built), time.perf_counter() - start)


@dataclass(frozen=True)
class _Polygraphy:
    """The loaders used here."""

    NetworkFromOnnxBytes: Any
    EngineBytesFromNetwork: Any
    CreateConfig: Any
    CreateConfigRTX: Any
    PostprocessConfig: Any
    PolygraphyException: Any


def bind_polygraphy(trt: TensorRT) -> None:
    """Tell Polygraphy which TensorRT to use: it chooses one per process, when its loaders are imported.

    Call this before running code that may import Polygraphy itself.

    Raises:
        InputError: it already uses the other one.
        MissingDependencyError: Polygraphy is not installed.
    """
    wants_rtx = trt.flavour == "tensorrt_rtx"
    settings: Any = require("polygraphy.config", "pip install 'polygraphy>=0.53'")
    if "polygraphy.backend.trt" not in sys.modules:
        settings.USE_TENSORRT_RTX = wants_rtx  # what POLYGRAPHY_USE_TENSORRT_RTX=1 sets before the import
    elif wants_rtx != settings.USE_TENSORRT_RTX:
        raise InputError(
            "Polygraphy was imported for the other TensorRT in this process: build in a separate process"
        )


def _polygraphy(trt: TensorRT) -> _Polygraphy:
    bind_polygraphy(trt)
    loaders = require("polygraphy.backend.trt", "")
    rtx = require("polygraphy.backend.tensorrt_rtx", "") if trt.flavour == "tensorrt_rtx" else None
    return _Polygraphy(
        loaders.NetworkFromOnnxBytes,
        loaders.EngineBytesFromNetwork,
        loaders.CreateConfig,
        rtx.CreateConfigRTX if rtx else None,
        loaders.PostprocessConfig,
        require("polygraphy.exception", "").PolygraphyException,
    )


def _config(
    polygraphy: _Polygraphy,
    settings: BuildSettings,
    trt: TensorRT,
    target: tuple[int, int] | None,
    cache: str | None,
    monitor: Any | None,
) -> Any:
    """A loader of the builder's configuration."""
    common = {
        "memory_pool_limits": {trt.module.MemoryPoolType.WORKSPACE: settings.workspace_mb << 20},
        "load_timing_cache": cache,
        "progress_monitor": monitor,
    }
    if trt.capabilities.names_target:
        at = {"compute_capabilities": [target]} if target else {"use_gpu": True}
        config = polygraphy.CreateConfigRTX(**at, **common)
    elif target:
        raise InputError(f"{trt.title} builds only for the GPU it runs on: leave out --compute-capability")
    else:
        config = polygraphy.CreateConfig(
            fp16="FP16" in settings.flags, int8="INT8" in settings.flags, **common
        )

    def exact(builder: Any, network: Any, config: Any) -> None:
        # TF32 rounds the factors of FP32 convolutions to ten bits; FP32 here means FP32.
        config.clear_flag(trt.module.BuilderFlag.TF32)

    return polygraphy.PostprocessConfig(config, exact)


@contextmanager
def _timing_cache(kept: Path | None) -> Iterator[str | None]:
    """A copy of the kept timing cache to work on; it replaces the kept one when the build is complete."""
    if kept is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "timing.cache"
        copy.write_bytes(kept.read_bytes() if kept.is_file() else b"")
        yield str(copy)
        with suppress(InputError):  # a cache that cannot be kept costs time, not the engine
            write_bytes(kept, copy.read_bytes())


def _explained(text: str, settings: BuildSettings) -> MicroAUNetError:
    if _OUT_OF_MEMORY.search(text):
        return InputError(
            f"out of memory during the build with a workspace of {settings.workspace_mb} MiB: close other "
            f"programs, give a smaller --workspace, or add swap on a Jetson ({text[:300]})"
        )
    return BuildRefusedError(text[:1000])
