"""The settings of one ``microaunet-run``, and what they mean on this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...stream.settings import StreamSettings


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """The settings of the command, the same for every source.

    Attributes:
        stream: how frames are segmented.
        masks: write masks; None for files only.
        overlay: write the overlay images or video.
        coco: write the regions as COCO annotations too.
        segment_s: length of a live recording's files in seconds.
    """

    stream: StreamSettings
    masks: bool | None = None
    overlay: bool = True
    coco: bool = False
    segment_s: float = 60.0


@dataclass(frozen=True)
class RunFacts:
    """What is run with these settings and a bundle on this machine: the head of the JSON.

    Attributes:
        bundle: its folder.
        note: which backend was chosen and why.
        presence: the operating point: from this presence of a frame on, its regions are shown.
    """

    bundle: str
    backend: str
    precision: str
    note: str
    threshold: float
    threads: int
    stabilise: bool
    presence: float
    crop_view: bool

    @property
    def title(self) -> str:
        """The text for people: what runs, its threshold, and the presence from which regions are shown."""
        return f"{self.note}; threshold {self.threshold:g}, shown from presence {self.presence:g} on"


def find_facts(settings: StreamSettings) -> RunFacts:
    """The facts of a run with ``settings``; opens a session once, and closes it.

    Raises:
        InputError: what cannot run here: a precision that the bundle lacks, a threshold out of range.
    """
    with settings.open_session() as session:
        return RunFacts(
            bundle=str(settings.bundle.folder),
            backend=session.backend.name,
            precision=session.backend.precision,
            note=session.note,
            threshold=session.threshold,
            threads=settings.threads,
            stabilise=settings.stabilise,
            presence=settings.operating_point,
            crop_view=settings.crop_view,
        )


def decisive(settings: RunSettings, facts: RunFacts) -> dict[str, Any]:
    """The settings and facts that the results of a file depend on besides the file."""
    known = asdict(facts)
    names = ("backend", "precision", "threshold", "stabilise", "presence", "crop_view")
    return {
        **{name: known[name] for name in names},
        "sha256": settings.stream.bundle.manifest.artefacts[facts.precision].sha256,
        "masks": settings.masks is not False,
        "overlay": settings.overlay,
        "coco": settings.coco,
    }
