"""Building engines for this device, verifying them, and keeping those that pass."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle import Bundle
from ..errors import GateError, InputError, MicroAUNetError
from ..files import explained, user_folder
from ..inference import cuda
from ..inference.tensorrt import built_here, engines
from ..inference.tensorrt.engines import Engine, EngineFacts
from ..inference.tensorrt.versions import TensorRT, installed
from .compiling import BuildSettings, compile_engine
from .plans import Plan, plan, plans
from .targets import find_target
from .turns import BLOCK_S, MARGIN, ROUNDS, WARM_UP_S, in_turns
from .verifying import gpu_lost, verified

if TYPE_CHECKING:
    from rich.progress import Progress

WORKSPACE_MB = 1024  # far more than a network this small needs

Say = Callable[[str], None]


@dataclass(frozen=True)
class BuiltEngine:
    """An engine that was built or found, and whether it existed already."""

    engine: Engine
    cached: bool


def available_builder() -> str | None:
    """The TensorRT that can build here, e.g. ``TensorRT-RTX 1.7.1``; None if none is installed."""
    try:
        return installed().title
    except MicroAUNetError:
        return None


def build(
    bundle: Bundle,
    precision: str,
    *,
    compute_capability: str | None = None,
    workspace_mb: int | None = None,
    progress: Progress | None = None,
    say: Say = lambda line: None,
) -> list[BuiltEngine]:
    """Build the engine of ``precision`` and verify it on this device; an engine that fails is not kept.

    Args:
        precision: ``int8``, ``fp16`` or ``fp32``: the first of :data:`plans.FALLBACK` that builds and agrees
            with the reference. ``best``: INT8 and FP16, of which one is marked as chosen: INT8 where it pays,
            see :mod:`.turns`. Nothing that was built before is removed.
        compute_capability: build for this GPU without using one (TensorRT-RTX only).
        workspace_mb: most scratch memory for the builder; None: 1024 or a quarter of the device's.
        progress: shows the phases of a build.
        say: called with one line per decision.

    Returns:
        The requested engines, which are now in the bundle: one, or several for ``best`` without a GPU.

    Raises:
        GateError: no engine of the requested kind was accepted; what was kept instead, if anything, is named.
        InputError: bad request, damaged bundle, no GPU, out of memory.
        MissingDependencyError: TensorRT, Polygraphy or a CUDA binding is missing.
    """
    builder = _Builder(bundle, compute_capability, workspace_mb, progress, say)
    if precision == "best":
        return builder.best()
    attempts = plans(precision, bundle, builder.trt)
    say("order: " + " -> ".join(attempt.title for attempt in attempts))
    built = builder.first(attempts)
    if not built.engine.facts.precision.startswith(precision):
        raise GateError(
            f"no {precision} engine was accepted; {built.engine.path} ({built.engine.facts.precision}) was "
            "built instead: use it with --precision " + built.engine.facts.precision
        )
    return [built]


def build_every(
    bundle: Bundle,
    *,
    compute_capability: str | None = None,
    progress: Progress | None = None,
    say: Say = lambda line: None,
) -> list[BuiltEngine]:
    """Build every ONNX file of the bundle as it is, without a fallback.

    Raises:
        BuildRefusedError: TensorRT refuses one of them.
        Others as in :func:`build`.
    """
    builder = _Builder(bundle, compute_capability, None, progress, say)
    newest = builder.trt.capabilities.newest_opset
    readable = [name for name, entry in bundle.manifest.artefacts.items() if entry.opset <= newest]
    return [builder.one(plan(name, builder.trt)) for name in readable]


class _Builder:
    """One request: the bundle, the installed builder, and the target."""

    def __init__(
        self,
        bundle: Bundle,
        compute_capability: str | None,
        workspace_mb: int | None,
        progress: Progress | None,
        say: Say,
    ) -> None:
        self.bundle = bundle
        self.trt = installed()
        self.target = find_target(compute_capability, self.trt)
        self.workspace_mb = workspace_mb or self._workspace()
        self.progress = progress
        self.say = say
        say(f"{self.trt.title} for {self.target.title}, workspace {self.workspace_mb} MiB")

    def _workspace(self) -> int:
        """Scratch memory in MiB: at most a quarter of the memory, which the rest of the system needs too."""
        device = self.target.device
        return min(WORKSPACE_MB, device.memory_mb // 4) if device else WORKSPACE_MB

    def first(self, attempts: Iterable[Plan]) -> BuiltEngine:
        """The first attempt that builds and agrees with the reference.

        Raises:
            GateError: no attempt does; the message gives every reason.
            InputError: an engine left the GPU unusable for this process.
        """
        reasons = []
        for attempt in attempts:
            try:
                return self.one(attempt)
            except GateError as error:
                reasons.append(f"{attempt.title}: {error}")
                self.say(f"not kept: {reasons[-1]}")
                if self.target.device and gpu_lost():
                    raise self._lost(attempt, reasons[-1]) from error
        raise GateError(f"no engine was accepted: {'; '.join(reasons)}")

    def _lost(self, attempt: Plan, reason: str) -> InputError:
        less = "fp16" if attempt.artefact.startswith("int8") else "fp32"
        return InputError(
            f"{reason}; after that this process can no longer use the GPU: continue with "
            f"microaunet-build --bundle {self.bundle.folder} --precision {less}"
        )

    def best(self) -> list[BuiltEngine]:
        """INT8 if it is clearly faster on this device, else FP16; both if nothing can be measured."""
        have = self.bundle.manifest.artefacts
        requests = [name for name in ("int8", "fp16") if any(each.startswith(name) for each in have)]
        steps = {name: plans(name, self.bundle, self.trt) for name in requests}
        own = [[step for step in steps[name] if step.artefact.startswith(name)] for name in requests]
        candidates = [attempts for attempts in own if attempts]
        if not candidates:
            raise InputError(f"{self.bundle.folder} has neither an INT8 nor an FP16 file: export with --int8")
        for attempt in (step for steps in candidates for step in steps):
            known = self.known(attempt)
            if known and known.chosen_over and self.target.device:
                self.say(f"best: {known.facts.precision}, chosen before over {_listed(known.chosen_over)}")
                return [BuiltEngine(known, cached=True)]
        built, beaten = [], {}
        for attempts in candidates:
            try:
                built.append(self.first(attempts))
            except GateError:
                beaten[attempts[0].artefact] = "not accepted"
        if not built:
            raise GateError("neither an INT8 nor an FP16 engine was accepted: try --precision fp32")
        if self.target.device is None:
            self.say("no GPU is used, so nothing was measured: what was built is kept")
            return built
        chosen, why = self._faster(built, beaten)
        kept = replace(chosen.engine, chosen_over=beaten)
        engines.choose(self.bundle, kept)
        self.say(f"best: {kept.facts.precision}{why}")
        return [BuiltEngine(kept, chosen.cached)]

    def _faster(self, built: list[BuiltEngine], beaten: dict[str, str]) -> tuple[BuiltEngine, str]:
        """The engine to use, and why in a phrase; the other one is recorded in ``beaten``."""
        if len(built) == 1:
            return built[0], f" over {_listed(beaten)}" if beaten else ", the only one"
        int8, fp16 = built
        self.say(f"both are timed in turns, for {2 * (WARM_UP_S + ROUNDS * BLOCK_S):.0f} seconds")
        turns = in_turns(int8.engine, fp16.engine, self.bundle, self.trt)
        winner, loser = (int8, fp16) if turns.int8_pays else (fp16, int8)
        asked = f"it must be faster by more than {100 * MARGIN:.0f} %"
        beaten[loser.engine.facts.precision] = turns.title
        return winner, f"; {turns.title}; {asked}"

    def facts(self, attempt: Plan) -> EngineFacts:
        """The facts of the engine that ``attempt`` gives."""
        device = self.target.device
        return EngineFacts(
            flavour=self.trt.flavour,
            tensorrt=self.trt.version,
            compute_capability="{}.{}".format(*self.target.compute_capability),
            gpu=device.title if device else None,
            cuda=device.cuda if device else None,
            precision=attempt.artefact,
            source_sha256=self.bundle.manifest.artefacts[attempt.artefact].sha256,
            options=asdict(self.settings(attempt)),
        )

    def settings(self, attempt: Plan) -> BuildSettings:
        """The builder's configuration for ``attempt``."""
        return BuildSettings(attempt.strongly_typed, attempt.flags, self.workspace_mb)

    def known(self, attempt: Plan) -> Engine | None:
        """The engine of ``attempt`` if it was built before and is intact, else None."""
        facts = self.facts(attempt)
        sidecar = engines.folder_of(self.bundle, facts) / f"{attempt.artefact}.json"
        if not sidecar.is_file():
            return None
        try:
            engine = engines.load(sidecar)
            if not engine.built_here:
                raise InputError(f"{engine.path}: {engines.FOREIGN}")
            engine.read()
        except InputError as error:
            self.say(f"building again: {error}")
            return None
        return engine if engine.facts.key == facts.key else None

    def one(self, attempt: Plan) -> BuiltEngine:
        """The engine of ``attempt``, built now unless it exists.

        Raises:
            BuildRefusedError: TensorRT refuses the graph.
            GateError: the engine does not run here, or does not agree with the reference.
            InputError: the bundle cannot be written.
        """
        graph = self.bundle.graph(attempt.artefact)
        if known := self.known(attempt):
            self.say(f"{attempt.artefact}: built before in {known.seconds:.1f} s, {known.path}")
            return BuiltEngine(known, cached=True)
        with explained(self.bundle.folder):  # said now, and not after minutes of building
            tempfile.TemporaryFile(dir=self.bundle.folder).close()
        built_here.check_writable()
        device = self.target.device
        expected = "one to five minutes on a Jetson, seconds on a PC" if device else "a few seconds"
        self.say(f"{attempt.title}: building; expect {expected}")
        compiled = compile_engine(
            graph.content,
            self.settings(attempt),
            self.trt,
            target=None if device else self.target.compute_capability,
            timing_cache=_timing_cache(self.trt, device) if device else None,
            progress=self.progress,
        )
        facts = self.facts(attempt)
        engine = Engine(
            path=engines.folder_of(self.bundle, facts) / f"{attempt.artefact}.engine",
            facts=facts,
            sha256=hashlib.sha256(compiled.engine).hexdigest(),
            size=len(compiled.engine),
            seconds=round(compiled.seconds, 3),
        )
        if device:
            try:
                engine = verified(engine, compiled.engine, self.bundle, self.trt)
            except GateError:
                raise
            except MicroAUNetError as error:  # one that agrees may come after it
                raise GateError(f"it does not run on this device: {error}") from error
        engines.save(engine, compiled.engine)
        self.say(f"{attempt.artefact}: {_summary(engine)}")
        return BuiltEngine(engine, cached=False)


def _timing_cache(trt: TensorRT, device: cuda.Device) -> Path:
    """The timing cache's path, per device and TensorRT and outside the bundle: all bundles share it."""
    name = f"{trt.flavour}-{trt.version}-{device.title}".replace(" ", "-").replace(",", "").replace("/", "-")
    return user_folder("XDG_CACHE_HOME", ".cache") / "microaunet" / f"{name}.timing"


def _listed(beaten: dict[str, str]) -> str:
    return ", ".join(f"{precision} ({why})" for precision, why in beaten.items())


def _summary(engine: Engine) -> str:
    layers = f"{engine.layers} layers, " if engine.layers else ""
    text = f"{layers}{engine.size / 1024:.0f} KiB, built in {engine.seconds:.1f} s"
    if engine.agreement and engine.latency_ms:
        agreement = engine.agreement["mask_agreement"]
        return f"{text}; mask agreement {agreement:.4f}, p50 {engine.latency_ms['p50']:.3f} ms"
    return f"{text}; not verified: run microaunet-build on the device"
