"""The steps from a checkpoint to a verified bundle."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto

from microaunet.checkpoint import Checkpoint, locate
from microaunet.checkpoint import load as load_checkpoint
from microaunet.models import parameters
from microaunet.models.complexity import count_macs
from microaunet.models.fuse import deploy
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.manifest import FILE_NAME, Artefact, FileEntry, Manifest
from microaunet_runtime.console import progress
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import Pair, find_pairs, resolve_set
from microaunet_runtime.files import read_json, sha256

from . import calibrate, golden_frames, sensitivity, verify
from .coverage import cost, quantised
from .equalise import equalise, exponents
from .graph import export_graph, save, structure_sha256, trace
from .half import to_half
from .quantize import convolutions, quantize
from .range_file import SUFFIX, Ranges
from .range_file import load as load_ranges
from .reference import Reference

PACKAGES = ("microaunet", "torch", "onnx", "onnxsim", "onnxruntime", "numpy")

Say = Callable[[str], None]


@dataclass(frozen=True)
class ExportRequest:
    """What was asked for.

    Attributes:
        weights: a shipped name or a file.
        int8: write the INT8 files too.
        calib: training images to calibrate on; None for the ranges beside the weights.
        data: a set with ground truth to verify on, beside the golden frames.
        threshold: of the mask; None for the weights' own.
        threads: CPU threads of verification and timing.
    """

    weights: str
    int8: bool = False
    calib: Path | None = None
    data: Path | None = None
    threshold: float | None = None
    threads: int = 1
    gates: verify.Gates = field(default_factory=verify.Gates)


@dataclass(frozen=True)
class ExportOutcome:
    """What an export gave: the manifest, the latency by precision, the frames, and the gates that failed."""

    manifest: Manifest
    latency_ms: dict[str, dict[str, float]]
    golden: golden_frames.GoldenFrames
    reference: Reference
    pairs: tuple[Pair, ...]
    failures: tuple[str, ...]


def check_target(out: Path) -> None:
    """Refuse to replace what is not a bundle, what cannot be replaced, and files that no export wrote.

    Raises:
        InputError: ``out`` is a file, a folder with other things in it, the current folder or a mount point.
    """
    if out.resolve() == Path.cwd() or os.path.ismount(out):
        kind = "the current folder" if out.resolve() == Path.cwd() else "a mount point"
        raise InputError(f"{out} is {kind}, which cannot be replaced: choose a folder below it for --out")
    if strange := _is_bundle(out) and _strangers(out):
        raise InputError(
            f"{out} also holds {strange[0]}, which no export wrote and which would be deleted: "
            "move it away, or choose another --out"
        )
    if not out.exists() or (out.is_dir() and not any(out.iterdir())) or _is_bundle(out):
        return
    raise InputError(f"{out} exists and is not a bundle: choose another --out, or remove it yourself")


def _is_bundle(folder: Path) -> bool:
    """Whether a bundle of any version lies there; others have a ``manifest.json`` too."""
    try:
        content = read_json(folder / FILE_NAME)
    except (InputError, OSError):
        return False
    return isinstance(content, dict) and {"schema", "artefacts", "golden"} <= set(content)


def _strangers(bundle: Path) -> list[str]:
    """What lies in a bundle's folder and is none of its own files, nor an engine built from them."""
    content = read_json(bundle / FILE_NAME)
    entries = [content["golden"], *dict(content["artefacts"]).values()]
    own = {entry.get("file") for entry in entries if isinstance(entry, dict)}
    own |= {FILE_NAME, "report.html", "report.json", "engines"}
    return sorted(path.name for path in bundle.iterdir() if path.name not in own)


def export(request: ExportRequest, folder: Path, say: Say) -> ExportOutcome:
    """Write a bundle into the empty ``folder`` and verify it.

    Raises:
        InputError: the weights, the calibration images, the ranges or the data cannot be used.
    """
    torch.set_num_threads(request.threads)
    checkpoint = load_checkpoint(request.weights)
    threshold = checkpoint.threshold if request.threshold is None else request.threshold
    if not 0 < threshold < 1:
        raise InputError(f"threshold {threshold} is not between 0 and 1")
    pairs = tuple(find_pairs(resolve_set(request.data, "val"))) if request.data else ()
    calibration = None
    if request.int8 and request.calib:
        calibration = calibrate.find(request.calib, [pair.image for pair in pairs])
        if (count := len(calibration.paths)) < calibrate.ADVISED:
            say(f"warning: {count} calibration images are few, {calibrate.ADVISED} or more are better")
    height, width = checkpoint.size

    say(f"weights {checkpoint.name}, {parameters(checkpoint.model):,} parameters, frames {height} x {width}")
    network = deploy(checkpoint.model)
    graphs = {opset: export_graph(network, height, width, threshold, opset) for opset in (17, 19)}
    models = {"fp32": (graphs[17], 17), "fp16": (to_half(graphs[17], 17), 17)}
    facts: dict[str, Any] | None = None
    if request.int8:
        ranges, facts = _ranges(request, checkpoint, calibration, graphs[17], say)
        level = {opset: equalise(graph, ranges.equalisation) for opset, graph in graphs.items()}
        half = to_half(level[19], 19)
        models["int8"] = (quantize(level[17], 17, ranges.convolutions, ranges.in_float), 17)
        models["int8-fp16"] = (quantize(half, 19, ranges.convolutions, ranges.in_float), 19)
    artefacts = {name: _write(folder, name, *entry) for name, entry in models.items()}

    reference = Reference(checkpoint.model)
    with progress() as bar:
        tick = partial(bar.advance, bar.add_task("golden frames", total=golden_frames.SEEDS))
        frames = golden_frames.render(reference, height, width, threshold, tick)
    frames.save(folder / "golden.npz")
    say(
        f"golden frames: {len(frames.frames)} synthetic ones, polyps found by the reference in {frames.found}"
    )

    manifest = Manifest(
        name=checkpoint.name,
        height=height,
        width=width,
        threshold=threshold,
        presence=checkpoint.presence,
        stabilised_presence=checkpoint.stabilised_presence,
        artefacts=artefacts,
        tolerances=request.gates.tolerances(artefacts),
        golden=FileEntry("golden.npz", **_identity(folder / "golden.npz")),
        model=_model_facts(checkpoint),
        versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        calibration=facts,
    )
    manifest.save(folder)
    bundle = Bundle(folder, trust=True)  # made here, from weights that were trusted
    verification = _verify(request, bundle, reference, frames, pairs)
    manifest = replace(manifest, verification=verification)
    manifest.save(folder)
    failures = [f"{name}: {text}" for name, entry in verification.items() for text in entry["failures"]]
    latency = {name: verify.latency(bundle, name, frames.frames, request.threads) for name in artefacts}
    return ExportOutcome(manifest, latency, frames, reference, pairs, tuple(failures))


def measure_ranges(
    checkpoint: Checkpoint, images: calibrate.CalibrationSet, model: ModelProto, say: Say
) -> Ranges:
    """Calibrate on ``images``: the ranges, the method and the convolutions in float, all by measurement.

    Args:
        model: the FP32 graph at opset 17.
    """
    height, width = checkpoint.size
    with progress() as bar:
        tick = partial(bar.advance, bar.add_task("calibration frames", total=2 * len(images.paths)))
        frames = images.frames(height, width)
        steps = exponents(model, calibrate.channel_highs(model, frames))
        level = equalise(model, steps)
        candidates = calibrate.collect(level, frames, tick)
        count = len(convolutions(level))
        tick = partial(bar.advance, bar.add_task("INT8 choices", total=len(candidates) + count))
        choice = sensitivity.choose(level, frames, candidates, tick)
    say(
        f"calibration: {len(frames)} images, {choice.method} chosen, {len(choice.in_float)} of {count} "
        f"convolutions left in float, mask agreement on calibration frames {choice.agreement:.4f}"
    )
    return Ranges(
        weights_sha256=checkpoint.sha256,
        graph_sha256=structure_sha256(model),
        method=choice.method,
        methods=choice.methods,
        images=len(frames),
        images_sha256=images.fingerprint(),
        equalisation=steps,
        convolutions=choice.ranges,
        in_float=choice.in_float,
        mask_agreement=choice.agreement,
    )


def _ranges(
    request: ExportRequest,
    checkpoint: Checkpoint,
    images: calibrate.CalibrationSet | None,
    model: ModelProto,
    say: Say,
) -> tuple[Ranges, dict[str, Any]]:
    """The ranges to quantise with, and what the manifest says of them."""
    if images:
        ranges = measure_ranges(checkpoint, images, model, say)
        source = "images, the committed Kvasir-SEG list" if images.listed else "images"
    else:
        path = locate(request.weights).with_suffix(SUFFIX)
        if not path.is_file():
            raise InputError(f"there is no {path.name} beside the weights: give --calib DIR")
        ranges = load_ranges(path)
        ranges.check(checkpoint.sha256, model, path.name)
        source = f"ranges shipped with the weights ({path.name})"
        say(f"calibration: {source}, {ranges.method} over {ranges.images} images")
    facts = asdict(ranges)
    facts["equalised"] = len(ranges.equalisation)
    del facts["convolutions"], facts["equalisation"], facts["schema"]
    return ranges, {"source": source, **facts}


def _write(folder: Path, precision: str, model: ModelProto, opset: int) -> Artefact:
    path = folder / f"{precision}.onnx"
    save(model, path)
    facts: dict[str, Any] = {"cost": asdict(cost(model))}
    if precision.startswith("int8"):
        share = quantised(model)
        facts["quantised"] = {
            **asdict(share),
            "convolutions_percent": round(share.convolutions_percent, 2),
            "macs_percent": round(share.macs_percent, 2),
        }
    return Artefact(
        file=path.name,
        **_identity(path),
        precision=precision,
        opset=opset,
        nodes=len(model.graph.node),
        facts=facts,
    )


def _identity(path: Path) -> dict[str, Any]:
    return {"sha256": sha256(path), "bytes": path.stat().st_size}


def _model_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    height, width = checkpoint.size
    published = trace(checkpoint.model, torch.zeros(1, 3, height, width), ("x",), ("logits",), 17)
    return {
        "weights": checkpoint.name,
        "weights_sha256": checkpoint.sha256,
        "architecture": checkpoint.card.get("architecture", "unknown"),
        "parameters": parameters(checkpoint.model),
        "macs": count_macs(checkpoint.model, height, width),
        "cost_as_trained": asdict(cost(published)),
    }


def _verify(
    request: ExportRequest,
    bundle: Bundle,
    reference: Reference,
    frames: golden_frames.GoldenFrames,
    pairs: tuple[Pair, ...],
) -> dict[str, Any]:
    """By precision: the figures on the golden frames and on the data, and which gates failed."""
    height, width = bundle.manifest.height, bundle.manifest.width
    sets: dict[str, tuple[Iterable[verify.Sample], int]] = {
        "golden": (verify.golden_samples(frames), len(frames.frames))
    }
    if pairs:
        sets["data"] = (verify.real_samples(pairs, height, width), len(pairs))
    found: dict[str, Any] = {name: {"failures": []} for name in bundle.manifest.artefacts}
    with progress() as bar:
        for label, (samples, count) in sets.items():
            tick = partial(bar.advance, bar.add_task(f"verifying on {label}", total=count))
            by_precision = verify.agreement(bundle, reference, samples, request.threads, tick)
            for name, figures in by_precision.items():
                found[name][label] = figures
                failures = verify.failures(bundle.manifest.tolerances[name], figures)
                found[name]["failures"] += [f"{text} ({label})" for text in failures]
    return {name: {"passed": not entry["failures"], **entry} for name, entry in found.items()}
