"""Golden frames: synthetic ones in which the reference finds the polyp, with its probability and
presence.

They are part of the bundle, so they are never real frames; the device checks itself with them without torch.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from microaunet_runtime.evaluation.metrics import mask_agreement
from microaunet_runtime.images import synthetic

from .reference import Expected

FRAMES = 8
SEEDS = 64
FOUND = 0.5  # least Dice with the exact mask for a polyp to count as found

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the oldest time that a zip file can hold


@dataclass(frozen=True)
class GoldenFrames:
    """Frames uint8 (N, H, W, 3), exact masks uint8 (N, H, W), the reference's probability
    float32 (N, 1, H, W) and presence float32 (N,).

    ``found`` is in how many of them the reference finds the polyps, ``seeds`` what they were rendered from.
    """

    frames: np.ndarray
    truth: np.ndarray
    probability: np.ndarray
    presence: np.ndarray
    seeds: tuple[int, ...]
    found: int

    def save(self, path: Path) -> None:
        """Write ``path`` (.npz) with the same bytes for the same arrays: no times, no machine."""
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("frames", "presence", "probability", "truth"):
                entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(entry, "w") as stream:
                    np.lib.format.write_array(stream, getattr(self, name), allow_pickle=False)


def render(
    reference: Expected, height: int, width: int, threshold: float, tick: Callable[[], None]
) -> GoldenFrames:
    """The frames of the first seeds whose polyps the reference finds; if too few, the best others follow.

    Untrained weights find nothing, but a bundle of them is still useful for timing. So this never fails, and
    ``found`` says in how many frames the polyps were found.

    Args:
        tick: called after each frame that was tried.
    """
    tried: list[_Candidate] = []
    for seed in range(SEEDS):
        frame, truth = synthetic.frame(seed, height, width, polyps=1 + seed % 2)
        tried.append(_Candidate(seed, frame, truth, *reference(frame), threshold))
        tick()
        if sum(candidate.found for candidate in tried) == FRAMES:
            break
    best = sorted(tried, key=_Candidate.rank)[:FRAMES]
    chosen = sorted(best, key=lambda candidate: candidate.seed)
    return GoldenFrames(
        frames=np.stack([candidate.frame for candidate in chosen]),
        truth=np.stack([candidate.truth for candidate in chosen]),
        probability=np.stack([candidate.probability for candidate in chosen])[:, None],
        presence=np.array([candidate.presence for candidate in chosen], np.float32),
        seeds=tuple(candidate.seed for candidate in chosen),
        found=sum(candidate.found for candidate in chosen),
    )


class _Candidate:
    """One rendered frame and how well the reference does on it."""

    def __init__(
        self,
        seed: int,
        frame: np.ndarray,
        truth: np.ndarray,
        probability: np.ndarray,
        presence: float,
        threshold: float,
    ) -> None:
        self.seed, self.frame, self.truth = seed, frame, truth
        self.probability, self.presence = probability, presence
        self.dice = mask_agreement(probability > threshold, truth)
        self.found = self.dice >= FOUND

    def rank(self) -> tuple[bool, float, float, int]:
        """Found ones first, in the order of their seeds; then by Dice, then by confidence."""
        if self.found:
            return False, 0.0, 0.0, self.seed
        return True, -self.dice, -float(self.probability.max()), self.seed
