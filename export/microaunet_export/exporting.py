"""The steps from a checkpoint to a verified bundle."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto

from microaunet_runtime.bundle import Bundle
from microaunet_runtime.bundle.manifest import FILE_NAME, Artefact, FileEntry, Manifest
from microaunet_runtime.console import progress
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import Pair, find_pairs, resolve_set
from microaunet_runtime.files import read_json, sha256

from . import batching, calibrate, deepstream, forms, golden_frames, verify
from .coverage import cost, quantised
from .forms import Say
from .graph import save
from .launches import expected
from .normalise import Normalisation
from .reference import Expected
from .refused import refusals
from .subject import Subject, of_onnx, of_weights

PACKAGES = ("microaunet", "torch", "onnx", "onnxsim", "onnxruntime", "numpy")


@dataclass(frozen=True)
class ExportRequest:
    """The request for an export.

    Attributes:
        weights: a shipped name or a file; unused with ``onnx``.
        network: whose weights they are, when the file does not say it.
        onnx: an ONNX file instead of weights.
        normalisation: what a network from elsewhere expects beside x / 255.
        size: height and width of the frames; None for the weights' own.
        int8: write the INT8 files too.
        calib: training images to calibrate on; None for the ranges beside the weights.
        data: a set with ground truth to verify on, beside the golden frames.
        threshold: of the mask; None for the weights' own.
        threads: CPU threads of verification and timing.
        batch_size: also write each file for this many frames at once, or for any number of them.
    """

    weights: str
    network: str | None = None
    onnx: Path | None = None
    normalisation: Normalisation | None = None
    size: tuple[int, int] | None = None
    int8: bool = False
    calib: Path | None = None
    data: Path | None = None
    threshold: float | None = None
    threads: int = 1
    gates: verify.Gates = field(default_factory=verify.Gates)
    batch_size: batching.BatchSize | None = None


@dataclass(frozen=True)
class ExportOutcome:
    """The result of an export.

    Attributes:
        times_ms: milliseconds of each timed inference, by precision.
        card: the accuracy that the weights' card states (:func:`.accuracy.of_card`).
        pairs: the data that it was verified on.
        failures: the failed gates, a sentence each.
    """

    manifest: Manifest
    times_ms: dict[str, list[float]]
    card: dict[str, Any]
    golden: golden_frames.GoldenFrames
    reference: Expected
    pairs: tuple[Pair, ...]
    failures: tuple[str, ...]


def check_target(out: Path) -> None:
    """Raise if replacing ``out`` would delete anything but a bundle, or is impossible.

    Raises:
        InputError: ``out`` is a file, a folder with other things in it, the current folder or a mount point.
    """
    if out.resolve() == Path.cwd() or os.path.ismount(out):
        kind = "the current folder" if out.resolve() == Path.cwd() else "a mount point"
        raise InputError(f"{out} is {kind}, which cannot be replaced: choose a folder below it for --out")
    if strange := _is_bundle(out) and _foreign_files(out):
        raise InputError(
            f"{out} also holds {strange[0]}, which no export wrote and which would be deleted: "
            "move it away, or choose another --out"
        )
    if not out.exists() or (out.is_dir() and not any(out.iterdir())) or _is_bundle(out):
        return
    raise InputError(f"{out} exists and is not a bundle: choose another --out, or remove it yourself")


def _is_bundle(folder: Path) -> bool:
    """Whether a bundle of any version is there; other programs write a ``manifest.json`` too."""
    try:
        content = read_json(folder / FILE_NAME)
    except (InputError, OSError):
        return False
    return isinstance(content, dict) and {"schema", "artefacts", "golden"} <= set(content)


def _foreign_files(bundle: Path) -> list[str]:
    """The files in a bundle's folder that belong neither to the bundle nor to its engines."""
    content = read_json(bundle / FILE_NAME)
    several = dict(content.get("batch") or {}).get("artefacts") or {}
    entries = [content["golden"], *dict(content["artefacts"]).values(), *dict(several).values()]
    own = {entry.get("file") for entry in entries if isinstance(entry, dict)}
    own |= {FILE_NAME, "report.html", "report.json", "engines", deepstream.FOLDER}
    return sorted(path.name for path in bundle.iterdir() if path.name not in own)


def export(request: ExportRequest, folder: Path, say: Say) -> ExportOutcome:
    """Write a bundle into the empty ``folder`` and verify it.

    Raises:
        InputError: the weights, the calibration images, the ranges or the data cannot be used.
    """
    torch.set_num_threads(request.threads)
    subject = open_subject(request)
    pairs = tuple(find_pairs(resolve_set(request.data, "val"))) if request.data else ()
    calibration = None
    if request.int8 and request.calib:
        calibration = calibrate.find(request.calib, [pair.image for pair in pairs])
        if (count := len(calibration.paths)) < calibrate.ADVISED:
            say(f"warning: {count} calibration images are few; {calibrate.ADVISED} or more are better")
    height, width, threshold = subject.height, subject.width, subject.threshold

    say(f"weights {subject.name}, {subject.parameters:,} parameters, frames {height} x {width}")
    made, facts = forms.make(subject, request.int8, calibration, say)
    artefacts = {name: _write(folder, name, *form) for name, form in made.items()}

    reference = subject.reference
    with progress() as bar:
        tick = partial(bar.advance, bar.add_task("golden frames", total=golden_frames.SEEDS))
        frames = golden_frames.render(reference, height, width, threshold, tick)
    frames.save(folder / "golden.npz")
    say(
        f"golden frames: {len(frames.frames)} synthetic ones, polyps found by the reference in {frames.found}"
    )

    several = batching.write(folder, made, frames.frames, request.batch_size) if request.batch_size else None
    manifest = Manifest(
        name=subject.name,
        height=height,
        width=width,
        threshold=threshold,
        presence=subject.presence,
        stabilised_presence=subject.stabilised_presence,
        artefacts=artefacts,
        tolerances=request.gates.tolerances(artefacts),
        golden=FileEntry("golden.npz", **_identity(folder / "golden.npz")),
        model=_model_facts(subject),
        versions={"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        calibration=facts,
        batch=several,
    )
    manifest.save(folder)
    bundle = Bundle(folder, trust=True)  # made here, from weights that were trusted
    verification = _verify(request, bundle, reference, frames, pairs)
    manifest = replace(manifest, verification=verification)
    manifest.save(folder)
    failures = [f"{name}: {text}" for name, entry in verification.items() for text in entry["failures"]]
    failures += batching.failures(several) if several else []
    times = {name: verify.times_ms(bundle, name, frames.frames, request.threads) for name in artefacts}
    return ExportOutcome(manifest, times, subject.card, frames, reference, pairs, tuple(failures))


def open_subject(request: ExportRequest) -> Subject:
    """The subject that ``request`` names, ready to be exported.

    Raises:
        InputError: it cannot be used.
    """
    rest = (request.normalisation, request.size, request.threshold)
    return (
        of_onnx(request.onnx, *rest) if request.onnx else of_weights(request.weights, request.network, *rest)
    )


def _write(folder: Path, precision: str, model: ModelProto, opset: int) -> Artefact:
    if refused := refusals(model):
        raise RuntimeError(f"the {precision} graph would be refused by TensorRT: {'; '.join(refused)}")
    path = folder / f"{precision}.onnx"
    save(model, path)
    facts: dict[str, Any] = {
        "cost": asdict(cost(model)),
        "fusion_stops": [asdict(stop) for stop in expected(model).stops],
    }
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


def _model_facts(subject: Subject) -> dict[str, Any]:
    return {
        "weights": subject.name,
        "weights_sha256": subject.sha256,
        "parameters": subject.parameters,
        **subject.facts,
    }


def _verify(
    request: ExportRequest,
    bundle: Bundle,
    reference: Expected,
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
