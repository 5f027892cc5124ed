"""What one ``microaunet-run`` was asked for, and what that comes to on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...bundle import Bundle
from ...errors import InputError
from ...inference.session import Session, open_session


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What the command was asked for, the same for every source.

    Attributes:
        precision: one of the bundle's; None for the backend's own choice.
        threshold: replaces the bundle's; None for the bundle's.
        presence: replaces the bundle's, for stabilised masks; None for the bundle's.
        masks: write masks; None for files only.
        segment_s: length of a live recording's files in seconds.
    """

    backend: str = "auto"
    precision: str | None = None
    threshold: float | None = None
    presence: float | None = None
    threads: int = 1
    masks: bool | None = None
    overlay: bool = True
    stabilise: bool = False
    crop_view: bool = False
    segment_s: float = 60.0

    def open(self, bundle: Bundle) -> Session:
        """A session of ``bundle`` as asked for."""
        return open_session(
            bundle,
            backend=self.backend,
            precision=self.precision,
            threshold=self.threshold,
            threads=self.threads,
        )


@dataclass(frozen=True)
class RunFacts:
    """What the settings come to with a bundle on this machine: the head of the JSON.

    Attributes:
        bundle: its folder.
        note: which backend was chosen and why.
        presence: what a stabilised region must pass to appear; None when nothing is stabilised.
    """

    bundle: str
    backend: str
    precision: str
    note: str
    threshold: float
    threads: int
    stabilise: bool
    presence: float | None
    crop_view: bool

    @property
    def title(self) -> str:
        """For people: what runs, with which threshold."""
        sure = "" if self.presence is None else f", presence {self.presence:g}"
        return f"{self.note}; threshold {self.threshold:g}{sure}"


def find_facts(bundle: Bundle, settings: RunSettings) -> RunFacts:
    """What ``settings`` come to: opens a session once, and closes it.

    Raises:
        InputError: what cannot run here: a precision that the bundle lacks, a threshold or a presence out of
            range.
    """
    asked = settings.presence
    if asked is not None and not (settings.stabilise and 0 < asked < 1):
        raise InputError(f"--presence {asked}: give a probability between 0 and 1, with --stabilise")
    with settings.open(bundle) as session:
        threshold, note = session.threshold, session.note
        backend, precision = session.backend.name, session.backend.precision
    if asked is not None and asked < threshold:
        raise InputError(f"--presence {asked} is below the threshold {threshold:g}")
    # With a raised threshold at least that: no mask shows less.
    presence = max(bundle.manifest.presence if asked is None else asked, threshold)
    return RunFacts(
        bundle=str(bundle.folder),
        backend=backend,
        precision=precision,
        note=note,
        threshold=threshold,
        threads=settings.threads,
        stabilise=settings.stabilise,
        presence=presence if settings.stabilise else None,
        crop_view=settings.crop_view,
    )


def decisive(bundle: Bundle, settings: RunSettings, facts: RunFacts) -> dict[str, Any]:
    """What the results of a file depend on besides the file."""
    known = asdict(facts)
    names = ("backend", "precision", "threshold", "stabilise", "presence", "crop_view")
    return {
        **{name: known[name] for name in names},
        "sha256": bundle.manifest.artefacts[facts.precision].sha256,
        "masks": settings.masks is not False,
        "overlay": settings.overlay,
    }
