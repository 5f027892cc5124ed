"""Self-test: whether a bundle gives on this machine what the PyTorch reference gave for the golden frames."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..bundle import Bundle, Golden
from ..errors import MicroAUNetError
from ..inference import registry
from ..inference.agreement import Agreement, golden_agreement
from ..inference.session import open_session
from ..percentiles import percentile
from .inference_time import inference_ms

_TIMED_RUNS = 30
_WARM_UP_RUNS = 5


@dataclass(frozen=True)
class SelfTestCheck:
    """One backend with one precision.

    Attributes:
        agreement: with the reference; None when the combination cannot run here.
        latency_ms: p50, p95 and p99 of inference on the golden frames.
        problem: why it failed or did not run; empty when it passed.
        passed: it ran and is inside the tolerance.
        ran: False if the combination is not available here, which does not count as a failure.
    """

    backend: str
    precision: str
    problem: str
    ran: bool
    agreement: Agreement | None = None
    latency_ms: dict[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.ran and not self.problem

    def record(self) -> dict[str, Any]:
        """The check as plain data for JSON."""
        return {
            "backend": self.backend,
            "precision": self.precision,
            "ran": self.ran,
            "passed": self.passed,
            "problem": self.problem,
            **(asdict(self.agreement) if self.agreement else {}),
            "latency_ms": self.latency_ms,
        }


def self_test(
    bundle: Bundle, names: tuple[str, ...] = registry.NAMES, threads: int = 1, url: str | None = None
) -> list[SelfTestCheck]:
    """The checks of each backend of ``names`` with each precision of ``bundle``.

    Args:
        url: see :func:`~microaunet_runtime.open_session`.

    Raises:
        InputError: a file of the bundle is missing or has changed.
    """
    bundle.check()
    golden = bundle.golden()
    return [
        _check(bundle, golden, name, precision, threads, url)
        for name in names
        for precision in bundle.manifest.artefacts
    ]


def _check(
    bundle: Bundle, golden: Golden, name: str, precision: str, threads: int, url: str | None
) -> SelfTestCheck:
    if reason := registry.load(name, url).unavailable(bundle, precision):
        return SelfTestCheck(name, precision, reason, ran=False)
    manifest = bundle.manifest
    try:
        with open_session(bundle, backend=name, precision=precision, threads=threads, url=url) as session:
            agreement = golden_agreement(session.backend, golden, manifest.threshold)
            times = inference_ms(session.backend, golden.frames, _TIMED_RUNS, _WARM_UP_RUNS)
    except MicroAUNetError as error:  # the other combinations are still worth knowing
        return SelfTestCheck(name, precision, str(error), ran=True)
    problem = agreement.shortfall(manifest.tolerances[precision], gpu=name != "onnxruntime")
    latency = {f"p{p}": round(percentile(times, p), 4) for p in (50, 95, 99)}
    return SelfTestCheck(name, precision, problem, True, agreement, latency)
