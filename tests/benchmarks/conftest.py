"""A bundle of an untrained student, for suites that only measure."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from microaunet_runtime.bundle.manifest import Artefact, FileEntry, Manifest
from microaunet_runtime.images.synthetic import frame


@pytest.fixture(scope="session")
def edge_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FP32 only; two golden frames with what the graph itself gives for them."""
    pytest.importorskip("onnx")
    from benchmarks.measuring.graphs import OPSET, SIZE, THRESHOLD, as_shipped
    from microaunet.models import create
    from microaunet_export.graph import GraphRunner
    from microaunet_export.verify import Gates

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("edge")
    graph = as_shipped("edge", create("edge").eval()).onnx
    (folder / "fp32.onnx").write_bytes(graph.SerializeToString())
    frames = np.stack([frame(seed)[0] for seed in range(2)])
    runner = GraphRunner(graph)
    np.savez(
        folder / "golden.npz",
        frames=frames,
        **{
            name: np.concatenate([runner(image)[name] for image in frames])
            for name in ("probability", "presence")
        },
    )
    model, golden = (entry(folder / name) for name in ("fp32.onnx", "golden.npz"))
    Manifest(
        name="edge",
        height=SIZE,
        width=SIZE,
        threshold=THRESHOLD,
        presence=0.0,
        stabilised_presence=0.0,
        artefacts={"fp32": Artefact(*model, precision="fp32", opset=OPSET, nodes=len(graph.graph.node))},
        tolerances=Gates().tolerances(["fp32"]),
        golden=FileEntry(*golden),
        model={"architecture": "edge"},
        versions={},
    ).save(folder)
    return folder


def entry(path: Path) -> tuple[str, str, int]:
    content = path.read_bytes()
    return path.name, hashlib.sha256(content).hexdigest(), len(content)
