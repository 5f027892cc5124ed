"""A bundle that any test can make in milliseconds: its network marks what is red."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microaunet_runtime.bundle.manifest import Artefact, FileEntry, Manifest
from microaunet_runtime.bundle.tolerance import Tolerance

WEIGHTS = np.array([20, -10, -10], np.float32)
BIAS = np.float32(-8)
TOLERANCES = {
    "fp32": Tolerance(0.999, 1e-3, max_abs_difference=1e-4, max_abs_difference_gpu=1e-3),
    "fp16": Tolerance(0.995, 0.02),
    "int8": Tolerance(0.97, 0.2),
    "int8-fp16": Tolerance(0.97, 0.2),
}


def redness(frames: np.ndarray, bias: float = float(BIAS)) -> np.ndarray:
    """The tiny network written out: uint8 (N, H, W, 3) RGB -> float32 (N, 1, H, W) probability."""
    logits = frames.astype(np.float32) @ (WEIGHTS / np.float32(255)) + np.float32(bias)
    return (1 / (1 + np.exp(-logits)))[:, None].astype(np.float32)


def presence_of(probability: np.ndarray) -> np.ndarray:
    """What the tiny network takes for presence: the surest pixel of float32 (N, 1, H, W); float32 (N,)."""
    return probability.max(axis=(1, 2, 3))


def polyp_frame(height: int, width: int, x: int, y: int, radius: int, seed: int = 0) -> np.ndarray:
    """Pink noise with a red disc around (x, y); uint8 (height, width, 3) RGB."""
    frame = np.random.default_rng(seed).normal((150, 120, 110), 6, (height, width, 3))
    rows, columns = np.ogrid[:height, :width]
    frame[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = (205, 30, 30)
    return frame.clip(0, 255).astype(np.uint8)


def tiny_graph(height: int, width: int, threshold: float = 0.5, bias: float = float(BIAS)) -> bytes:
    """An ONNX file with the bundle's contract: a 1x1 convolution that answers to red."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "weight", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probability"]),
        helper.make_node("Greater", ["probability", "threshold"], ["above"]),
        helper.make_node("Cast", ["above"], ["mask"], to=TensorProto.UINT8),
        helper.make_node("ReduceMax", ["probability"], ["presence"], axes=[1, 2, 3], keepdims=0),
    ]
    constants = {
        "weight": (WEIGHTS / np.float32(255)).reshape(1, 3, 1, 1),
        "bias": np.array([bias], np.float32),
        "threshold": np.array(threshold, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, height, width, 3])],
        [
            helper.make_tensor_value_info("probability", TensorProto.FLOAT, [1, 1, height, width]),
            helper.make_tensor_value_info("mask", TensorProto.UINT8, [1, 1, height, width]),
            helper.make_tensor_value_info("presence", TensorProto.FLOAT, [1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def write_bundle(
    folder: Path,
    height: int = 64,
    width: int = 96,
    biases: dict[str, float] | None = None,
    threshold: float = 0.5,
    presence: float = 0.5,
    stabilised_presence: float = 0.5,
) -> Path:
    """Write a tiny bundle; ``biases`` gives, by precision, the bias of its graph, so how far it is off."""
    folder.mkdir(parents=True, exist_ok=True)
    artefacts = {}
    for precision, bias in (biases or {"fp32": float(BIAS)}).items():
        model = tiny_graph(height, width, threshold, bias)
        entry = _write(folder / f"{precision}.onnx", model)
        artefacts[precision] = Artefact(entry.file, entry.sha256, entry.bytes, precision, opset=17, nodes=7)
    frames = np.stack([polyp_frame(height, width, 20 + 15 * i, 30, 8 + 4 * i, seed=i) for i in range(3)])
    frames[:, :16] = np.linspace((150, 120, 110), (205, 30, 30), width)  # with every probability between
    golden = folder / "golden.npz"
    found = redness(frames)
    np.savez(golden, frames=frames, probability=found, presence=presence_of(found))
    manifest = Manifest(
        name="tiny",
        height=height,
        width=width,
        threshold=threshold,
        presence=presence,
        stabilised_presence=stabilised_presence,
        artefacts=artefacts,
        tolerances={precision: TOLERANCES[precision] for precision in artefacts},
        golden=_write(golden, golden.read_bytes()),
        model={"architecture": "redness", "parameters": 4},
        versions={},
    )
    manifest.save(folder)
    return folder


def _write(path: Path, content: bytes) -> FileEntry:
    path.write_bytes(content)
    return FileEntry(path.name, hashlib.sha256(content).hexdigest(), len(content))


def restamp(folder: Path, entry: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let the manifest agree with the present bytes of a file."""
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = entry(manifest)
    content = (folder / facts["file"]).read_bytes()
    facts.update(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    (folder / "manifest.json").write_text(json.dumps(manifest))
