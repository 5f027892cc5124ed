"""Model repositories for NVIDIA Triton, which run the bundle's network on several frames at once.

``onnxruntime/`` is ready to be served. ``tensorrt/`` waits for the engine, which is built on the server; both
serve the model under the same name, so clients need not know which one runs.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.manifest import Manifest
from microaunet_runtime.errors import GateError, InputError
from microaunet_runtime.files import replacing_folder

from . import batching
from .graph import save

MOST = 8  # frames in a batch
DELAY_US = 2000  # that a frame waits for others: an eighth of the time between two frames at 60 fps

FILES = {"onnxruntime": "model.onnx", "tensorrt": "model.plan"}
PRECISIONS = {"onnxruntime": "fp32", "tensorrt": "fp16"}


def configuration(manifest: Manifest, backend: str) -> str:
    """The text of ``config.pbtxt``. Axes are those of one frame; Triton puts the batch before them.

    Its parameters say which bundle the graph is from, so that a client can tell.

    Args:
        backend: one of :data:`FILES`.
    """
    height, width = manifest.height, manifest.width
    return f"""name: "{manifest.name}"
backend: "{backend}"
default_model_filename: "{FILES[backend]}"
max_batch_size: {MOST}
input [
  {{ name: "frame" data_type: TYPE_UINT8 dims: [ {height}, {width}, 3 ] }}
]
output [
  {{ name: "probability" data_type: TYPE_FP32 dims: [ 1, {height}, {width} ] }},
  {{ name: "mask" data_type: TYPE_UINT8 dims: [ 1, {height}, {width} ] }},
  {{ name: "presence" data_type: TYPE_FP32 dims: [ 1 ] reshape {{ shape: [ ] }} }}
]
dynamic_batching {{ max_queue_delay_microseconds: {DELAY_US} }}
parameters {{ key: "fp32_sha256" value {{ string_value: "{manifest.artefacts["fp32"].sha256}" }} }}
parameters {{ key: "precision" value {{ string_value: "{PRECISIONS[backend]}" }} }}
"""


def check_target(folder: Path) -> None:
    """Raise if ``folder`` holds anything but a model repository of this export.

    Raises:
        InputError: ``folder`` is a file, or a folder with other things in it.
    """
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= set(FILES)):
        raise InputError(f"--triton {folder} exists and holds other things: choose another folder")


def write(bundle: Bundle, folder: Path) -> str:
    """Write both repositories of ``bundle`` into ``folder``, after the graph was verified.

    Returns:
        The command that builds the engine on the server.

    Raises:
        InputError: the network takes no batch, or ``folder`` holds other things.
        GateError: a batch gives other values than its frames one by one.
    """
    check_target(folder)
    manifest = bundle.manifest
    path, _ = bundle.artefact("fp32")
    contract = onnx.load(path)
    graph = batching.batched(contract)
    tolerance = batching.TOLERANCES["fp32"]
    if not (found := batching.difference(contract, graph, bundle.golden().frames)) <= tolerance:
        raise GateError(
            f"a batch differs from its frames one by one by {found:.2g}, expected at most {tolerance:g}: "
            "something in the network mixes the frames of a batch"
        )
    with replacing_folder(folder) as temporary:
        for backend in FILES:
            place = temporary / backend / manifest.name
            (place / "1").mkdir(parents=True)
            (place / "config.pbtxt").write_text(configuration(manifest, backend), encoding="utf-8")
        save(graph, temporary / "onnxruntime" / manifest.name / "1" / FILES["onnxruntime"])
    size = f"{manifest.height}x{manifest.width}x3"
    shapes = " ".join(
        f"--{kind}Shapes=frame:{count}x{size}" for kind, count in (("min", 1), ("opt", MOST), ("max", MOST))
    )
    model, plan = (folder / backend / manifest.name / "1" / FILES[backend] for backend in FILES)
    return f"trtexec --onnx={model} --fp16 {shapes} --saveEngine={plan}"
