"""The kernels that TensorRT-RTX really makes of a bundle's files, beside those that the export expects.

    python -m benchmarks.kernels --bundle benchmarks/baselines/kvasir

NVIDIA's compiler needs no GPU for this: it builds for a named one and lists what it built. It is the same
compiler as in TensorRT 10 and 11 for float. Its INT8 is another matter: it never joins Quantize and
Dequantize to a convolution, so that INT8 is slower than FP16 in TensorRT-RTX, and only there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import onnx
import typer
from rich.table import Table

from microaunet_export.launches import expected
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, command_app, out
from microaunet_runtime.errors import InputError
from microaunet_runtime.files import write_json
from microaunet_runtime.optional import require

from .measuring.results import RESULTS

TARGET = "SM86"  # the closest to a Jetson Orin (SM87) that it builds for
WAITING = frozenset({"signal", "wait"})  # what orders two streams is no kernel


def kernels(
    bundle: BundleOption,
    result: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = RESULTS / "kernels.json",
    debug: DebugOption = False,
) -> None:
    """Build every file of a bundle with TensorRT-RTX and list its kernels.

    Example: [bold]python -m benchmarks.kernels --bundle benchmarks/baselines/kvasir[/bold]
    """
    opened = Bundle(bundle)
    table = Table("file", "expected", "TensorRT-RTX")
    figures: dict[str, Any] = {}
    for precision in opened.manifest.artefacts:
        content = opened.artefact(precision)[0].read_bytes()
        listed = built(content)
        foreseen = [kernel.operators for kernel in expected(onnx.load_from_string(content)).kernels]
        figures[precision] = {"expected": foreseen, "built": listed}
        table.add_row(precision, str(len(foreseen)), str(len(listed)))
    write_json(result, {"bundle": opened.manifest.name, "target": TARGET, "files": figures})
    out.print(table)


def built(content: bytes) -> list[dict[str, str]]:
    """Name and make of every kernel that TensorRT-RTX compiles an ONNX file into, in order.

    TensorRT keeps the first logger of a process: to be called where no other part has used it.

    Raises:
        InputError: the file is refused.
        MissingDependencyError: TensorRT-RTX is not installed.
    """
    trt = require("tensorrt_rtx", "install microaunet[rtx]")
    lines: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[name-defined]
        def log(self, severity: Any, message: str) -> None:
            lines.append(message)

    logger = Logger()
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        raise InputError(f"TensorRT-RTX refuses the graph: {parser.get_error(0).desc()}")
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.__members__[TARGET], 0)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if builder.build_serialized_network(network, config) is None:
        raise InputError(f"TensorRT-RTX cannot build the graph: {lines[-1]}")
    listing = next(line for line in lines if line.startswith("Layers:"))
    found = re.findall(r"^Name: ([^,]+), LayerType: (\w+)", listing, re.MULTILINE)
    return [{"name": name, "make": make} for name, make in found if make not in WAITING]


if __name__ == "__main__":
    command_app(kernels)()
