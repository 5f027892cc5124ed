"""The report of a run, as the command prints it and writes it as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import MicroAUNetError


@dataclass
class SinkReport:
    """What happened to a sink's results.

    Attributes:
        written: results written.
        lost: results that the sink could not take: it failed, or it was so slow that its queue overflowed.
        error: the first failure in one sentence, or empty.
    """

    written: int = 0
    lost: int = 0
    error: str = ""


@dataclass
class Report:
    """The figures of a run.

    Attributes:
        frames: frames segmented.
        dropped: frames of a live source that inference had no time for.
        skipped: frames of a live source that were damaged, empty or of a format that cannot be used.
        stale: frames that were shown later than the limit.
        backend_errors: frames at which the backend failed.
        outages: how often the server that runs the network was gone.
        lost: frames that were not segmented because of that.
        seconds: from the first frame's turn to the last result.
        fps: ``frames`` over ``seconds``.
        latency_ms: by stage, p50, p95, p99 and max.
        sinks: by title.
        events: what else happened, the latest, see :class:`~.events.Events`.
        interrupted: the run was stopped before a file source ended.
        error: the error that ended the run, in one sentence, or empty.
    """

    frames: int = 0
    dropped: int = 0
    skipped: int = 0
    stale: int = 0
    backend_errors: int = 0
    outages: int = 0
    lost: int = 0
    seconds: float = 0.0
    fps: float = 0.0
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    sinks: dict[str, SinkReport] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    interrupted: bool = False
    error: str = ""

    def record(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return asdict(self)

    def loss(self) -> MicroAUNetError | None:
        """An error that names the sinks that lost results, or None."""
        losses = [
            f"{sink.error or f'{title}: too slow'} ({sink.lost} results lost)"
            for title, sink in self.sinks.items()
            if sink.error or sink.lost
        ]
        return MicroAUNetError("; ".join(losses)) if losses else None
