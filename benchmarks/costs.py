"""The cost of the lean runtime before and besides inference: import, time to the first mask, resident memory.

    python -m benchmarks.costs --bundle benchmarks/baselines/kvasir

Each path runs in its own Python process, started in turns: the lean runtime, the same ONNX file in plain ONNX
Runtime, and the network in PyTorch. All segment the same 1080p frame on one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.console import BundleOption, DebugOption, command_app, out, progress
from microaunet_runtime.device.environment import environment
from microaunet_runtime.errors import GateError
from microaunet_runtime.files import write_json
from microaunet_runtime.images.resize import resize_frame
from microaunet_runtime.percentiles import percentile

from .measuring.results import RESULTS

RUNS = 9
FRAMES = 50  # after the first: memory is read when all buffers have been used
MOST_FIRST_MASK_S = 1.0
MOST_MEMORY_MB = 200.0

# Every script defines `imported`, the time when its imports are done, and `segment`, from frame to mask.
PATHS = {
    "lean runtime": """
from microaunet_runtime import open_session
imported = time.time()
session = open_session(bundle)
segment = lambda frame: session.run(frame).mask
""",
    "plain onnxruntime": """
import cv2, numpy as np, onnxruntime
imported = time.time()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(bundle + "/fp32.onnx", options, providers=["CPUExecutionProvider"])
height, width = session.get_inputs()[0].shape[1:3]
def segment(frame):
    small = cv2.resize(frame, (width, height))[None]
    mask = session.run(["mask"], {"frame": small})[0][0, 0]
    return cv2.resize(mask, frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
""",
    "pytorch": """
import cv2, torch
from microaunet.models import create
imported = time.time()
torch.set_num_threads(1)
network = create("edge").eval()
@torch.inference_mode()
def segment(frame):
    small = torch.from_numpy(cv2.resize(frame, (256, 256))).permute(2, 0, 1)[None] / 255
    mask = (network(small).sigmoid() > 0.5)[0, 0].byte().numpy()
    return cv2.resize(mask, frame.shape[1::-1], interpolation=cv2.INTER_NEAREST)
""",
}

_BEFORE = """
import json, sys, time
began, bundle, frame_file = float(sys.argv[1]), sys.argv[2], sys.argv[3]
started = time.time()
"""
_AFTER = f"""
import numpy, resource
frame = numpy.load(frame_file)
segment(frame)
first = time.time()
for _ in range({FRAMES}):
    segment(frame)
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(import_s=imported - started, first_mask_s=first - began, memory_mb=memory)))
"""


def costs(
    bundle: BundleOption,
    result: Annotated[Path, typer.Option("--json", help="Where the figures go.")] = RESULTS / "costs.json",
    debug: DebugOption = False,
) -> None:
    """Measure import time, time to the first mask and memory of the lean runtime beside plain paths.

    Example: [bold]python -m benchmarks.costs --bundle benchmarks/baselines/kvasir[/bold]
    """
    facts = environment(backend="onnxruntime", threads=1)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in PATHS}
    with tempfile.TemporaryDirectory() as folder, progress() as bar:
        frame_file = Path(folder, "frame.npy")
        golden = Bundle(bundle).golden().frames[0]
        np.save(frame_file, resize_frame(golden, 1080, 1920))
        task = bar.add_task("starting Pythons", total=RUNS * len(PATHS))
        for _ in range(RUNS):
            for name in PATHS:
                rows[name].append(run(name, bundle, frame_file))
                bar.advance(task)
    figures = {name: _summary(values) for name, values in rows.items()}
    lean = figures["lean runtime"]
    held = lean["first_mask_s"]["p50"] < MOST_FIRST_MASK_S and lean["memory_mb"]["max"] < MOST_MEMORY_MB
    limits = {"first_mask_s": MOST_FIRST_MASK_S, "memory_mb": MOST_MEMORY_MB}
    write_json(
        result, {"runs": RUNS, "paths": figures, "limits": limits, "passed": held, "environment": facts}
    )
    table = Table("path", "import s", "first mask s", "memory MB")
    for name, row in figures.items():
        table.add_row(name, *(f"{row[key]['p50']:.2f}" for key in ("import_s", "first_mask_s", "memory_mb")))
    out.print(table)
    if not held:
        raise GateError(f"the lean runtime must give a mask within 1 s and stay under 200 MB: {lean}")


def run(name: str, bundle: Path, frame_file: Path) -> dict[str, float]:
    """Seconds from the start and peak memory in MB of a Python process that takes the path ``name``."""
    script = _BEFORE + PATHS[name] + _AFTER
    command = [sys.executable, "-c", script, repr(time.time()), str(bundle), str(frame_file)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _summary(rows: list[dict[str, float]]) -> dict[str, Any]:
    return {
        key: {"p50": percentile([row[key] for row in rows], 50), "max": max(row[key] for row in rows)}
        for key in rows[0]
    }


if __name__ == "__main__":
    command_app(costs)()
