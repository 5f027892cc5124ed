"""The outputs of a session for the frames of committed lists, with and without a polyp."""

from __future__ import annotations

from pathlib import Path

from microaunet.data import lists
from microaunet_runtime.evaluation.operating_point import SeenFrame, evaluate_seen, see_polyp_free
from microaunet_runtime.images import read_image
from microaunet_runtime.inference.session import Session

from .reported import reported_pairs

POLYP_FREE = "polyp-free-"


def polyp_free_lists(part: str) -> list[str]:
    """The committed lists of polyp-free frames of ``part``: train, validation or test."""
    return [name for name in lists.names() if name.startswith(POLYP_FREE) and name.endswith(f"-{part}")]


def see(session: Session, source: str, data: Path) -> list[SeenFrame]:
    """The outputs of ``session`` for a committed list, or for a folder whose name ends in a slash."""
    if source.startswith(POLYP_FREE):
        frames, _ = lists.resolve_images([source], data)
        return see_polyp_free(session.see, (read_image(frame.image) for frame in frames), session.threshold)
    return evaluate_seen(session.see, reported_pairs(source, data), session.threshold)[1]
