"""Engines on disk: the facts that one depends on, the folder named by them, and which one fits this device.

    bundle/engines/<key>/<precision>.engine    unmodified: trtexec loads it
    bundle/engines/<key>/<precision>.json      what it is, how well it agreed with the reference

A hash shows that a file is unchanged, not who wrote it. An engine contains code for the GPU, so only engines
that this machine built are run; see :mod:`.built_here`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...bundle import Bundle
from ...bundle.manifest import PRECISIONS
from ...errors import InputError
from ...files import read_bytes, read_json, replacing_folder, write_bytes, write_json
from ..cuda import Device
from . import built_here
from .versions import TensorRT

FOLDER = "engines"
SCHEMA = 1
MOST_ENGINE_BYTES = 1 << 30
REBUILD = "build it again with microaunet-build"
FOREIGN = "this machine has no record of having built it, and an engine that came with a bundle is not run"


@dataclass(frozen=True)
class EngineFacts:
    """The facts that an engine depends on; a change in any of them requires another engine.

    Attributes:
        flavour, tensorrt: the Python module that built it, and its version.
        compute_capability: of the GPU it is for, e.g. ``8.7``.
        gpu, cuda: GPU and CUDA version of the device that built it; None when it was built without one.
        precision: the artefact it came from, one of :data:`PRECISIONS`.
        source_sha256: of that ONNX file.
        options: of the builder.
    """

    flavour: str
    tensorrt: str
    compute_capability: str
    gpu: str | None
    cuda: str | None
    precision: str
    source_sha256: str
    options: dict[str, Any]

    @property
    def key(self) -> str:
        """The folder's name: readable, and different for different facts."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        capability = self.compute_capability.replace(".", "")
        return f"{self.flavour}-{self.tensorrt}-sm{capability}-{self.precision}-{digest[:12]}"


@dataclass(frozen=True)
class Engine:
    """An engine of a bundle and its record.

    Attributes:
        path: of the ``.engine`` file.
        sha256, size: of that file; size in bytes.
        layers: after fusion, as TensorRT's inspector lists them; None when no device could load it.
        seconds: that the build took.
        agreement: with the reference on the golden frames, or None when no device could run it.
        latency_ms: percentiles of one inference on that device, or None.
        chosen_over: by precision, why not the other, when ``best`` chose this one.
    """

    path: Path
    facts: EngineFacts
    sha256: str
    size: int
    seconds: float
    layers: int | None = None
    agreement: dict[str, float] | None = None
    latency_ms: dict[str, float] | None = None
    chosen_over: dict[str, str] = field(default_factory=dict)

    @property
    def verified(self) -> bool:
        """Whether it was run on its device and agreed with the reference."""
        return self.agreement is not None

    @property
    def built_here(self) -> bool:
        """Whether this machine's own record, outside the bundle, says that it was built here."""
        return built_here.holds(self.sha256, self.facts.key)

    def read(self) -> bytes:
        """The serialised engine.

        Raises:
            InputError: the file is missing or is not the one that was built.
        """
        try:
            content = read_bytes(self.path, MOST_ENGINE_BYTES)
        except InputError as error:
            raise InputError(f"{error}: {REBUILD}") from error
        if len(content) != self.size or hashlib.sha256(content).hexdigest() != self.sha256:
            raise InputError(f"{self.path} is corrupt (its sha256 is not the recorded one): {REBUILD}")
        return content

    def record(self) -> dict[str, Any]:
        """The sidecar's content, which is also what ``--json`` gives."""
        content = {**asdict(self), "schema": SCHEMA, "file": self.path.name}
        del content["path"]
        return content


def folder_of(bundle: Bundle, facts: EngineFacts) -> Path:
    """The folder of the engine with these ``facts``."""
    return bundle.folder / FOLDER / facts.key


def save(engine: Engine, content: bytes) -> None:
    """Write engine and sidecar, both or neither, and note in this machine's record that they are its own.

    Raises:
        InputError: the bundle or the record cannot be written.
    """
    built_here.add(engine.sha256, engine.facts.key)
    with replacing_folder(engine.path.parent) as folder:
        write_bytes(folder / engine.path.name, content)
        write_json(folder / engine.path.with_suffix(".json").name, engine.record())


def choose(bundle: Bundle, chosen: Engine) -> None:
    """Record in the sidecar of ``chosen`` what it was preferred to, and remove that from the other sidecars.

    Raises:
        InputError: a sidecar cannot be written.
    """
    others = [engine for engine in kept(bundle) if engine.chosen_over and engine.path != chosen.path]
    for engine in (*(replace(other, chosen_over={}) for other in others), chosen):
        write_json(engine.path.with_suffix(".json"), engine.record())


def load(path: Path) -> Engine:
    """The engine that the sidecar at ``path`` describes.

    Raises:
        InputError: the sidecar is missing or not one of ours.
    """
    content = read_json(path, limit=1 << 20)
    try:
        if content.pop("schema") != SCHEMA:
            raise InputError(f"{path} was written by another version of microaunet: {REBUILD}")
        file = content.pop("file")
        facts = EngineFacts(**content.pop("facts"))
        engine = Engine(path=path.with_name(file), facts=facts, **content)
        typed = isinstance(engine.size, int) and re.fullmatch("[0-9a-f]{64}", engine.sha256)
        if not typed or facts.precision not in PRECISIONS or file != f"{facts.precision}.engine":
            raise ValueError("a field has another type or value than expected")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not describe an engine ({error}): {REBUILD}") from error
    return engine


def kept(bundle: Bundle) -> list[Engine]:
    """All engines of the bundle whose sidecar can be read, in the order of their folders' names."""
    engines = []
    for folder in _real_folders(bundle.folder / FOLDER):
        for sidecar in sorted(folder.glob("*.json")):
            try:
                engines.append(load(sidecar))
            except InputError:
                continue
    return engines


def _real_folders(root: Path) -> list[Path]:
    """The folders in ``root``, in the order of their names; links are left out."""
    try:
        return sorted(Path(entry) for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))
    except OSError:  # there is no such folder, or it cannot be read
        return []


def misfit(engine: Engine, bundle: Bundle, trt: TensorRT, device: Device) -> str:
    """Why ``engine`` must not run here, in one phrase; empty if it may."""
    if not engine.built_here:
        return FOREIGN
    facts = engine.facts
    source = bundle.manifest.artefacts.get(facts.precision)
    here = {
        "TensorRT": (f"{facts.flavour} {facts.tensorrt}", f"{trt.flavour} {trt.version}"),
        "compute capability": (facts.compute_capability, "{}.{}".format(*device.compute_capability)),
        "GPU": (facts.gpu or device.title, device.title),
        "CUDA": (facts.cuda or device.cuda, device.cuda),
    }
    for name, (built, found) in here.items():
        if built != found:
            return f"it was built for {name} {built}, this machine has {found}"
    if source is None or source.sha256 != facts.source_sha256:
        return f"the bundle's {facts.precision} file has changed since it was built"
    if not engine.verified:
        return "it has not been verified on this device"
    return ""


def find(bundle: Bundle, precision: str | None, trt: TensorRT, device: Device) -> Engine:
    """The verified engine for this device that ``best`` chose, else the fastest.

    Args:
        precision: one of the bundle's; None for any.

    Raises:
        InputError: there is none; the message names each engine and why it does not fit.
    """
    checked = [(engine, misfit(engine, bundle, trt, device)) for engine in kept(bundle)]
    runnable = [engine for engine, reason in checked if not reason]
    if fitting := [engine for engine in runnable if precision in (None, engine.facts.precision)]:
        return min(fitting, key=lambda engine: (not engine.chosen_over, _p50(engine)))
    what = f"{precision} engine" if precision else "engine"
    reasons = "".join(f"; {engine.facts.key}: {reason or 'it fits'}" for engine, reason in checked)
    request = (precision or "best").removesuffix("-fp16")
    raise InputError(
        f"{bundle.folder} has no {what} for this device{reasons}: "
        f"run microaunet-build --bundle {bundle.folder} --precision {request}"
    )


def _p50(engine: Engine) -> float:
    return (engine.latency_ms or {}).get("p50", float("inf"))


def trtexec(trt: TensorRT, engine: str) -> str:
    """The command that times the engine file ``engine`` with NVIDIA's own tool, as this project runs it."""
    tool = "tensorrt_rtx" if trt.flavour == "tensorrt_rtx" else "trtexec"
    # TensorRT 11 captures a graph, spins and leaves out the copies by default.
    older = trt.flavour == "tensorrt" and int(trt.version.split(".")[0]) < 11
    options = " --useCudaGraph --useSpinWait --noDataTransfers" if older else ""
    return f"{tool} --loadEngine={engine} --warmUp=1000 --duration=10{options}"
