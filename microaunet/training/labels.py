"""The teachers' outputs for stored frames, computed once and kept: they cost more than the student's step.

There is one file per frame, named after the hash of its image. Runs share these files, and an interrupted run
continues from them.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from microaunet_runtime import console, files
from microaunet_runtime.errors import InputError

from ..data.lists import ListedFrame
from .pool import Labels
from .teachers import Teachers

VERSION = 2  # raise when what is stored changes


def open_labels(
    teachers: Teachers, frames: Sequence[ListedFrame], stored: np.ndarray, polyp_free: int, folder: Path
) -> Labels:
    """The teachers' outputs for every stored frame, from the cache in ``folder`` or computed now.

    Args:
        teachers: on their device.
        frames: as many as stored.
        stored: uint8 (N, 4, S, S).
        polyp_free: how many of the last frames are known to show no polyp; the teachers do not see them.
        folder: of the cache.

    Raises:
        InputError: ``folder`` cannot be written, or the teachers say NaN.
    """
    side = stored.shape[-1]
    facts = [VERSION, teachers.sha256, teachers.flips, teachers.size, side]
    place = folder / f"labels-{side}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:24]}"
    labels = Labels(np.zeros((len(stored), 1, side, side), np.uint8), np.zeros(len(stored), np.float32))
    asked = range(len(stored) - polyp_free)
    with console.progress() as progress:
        for index in progress.track(asked, description="asking the teachers"):
            path = place / f"{frames[index].image_sha256}.npz"
            label = _read(path, side)
            if label is None:
                label = _ask(teachers, stored[index, :3])
                with files.replacing(path) as temporary, temporary.open("wb") as stream:
                    np.savez_compressed(stream, probability=label[0], presence=label[1])
            labels.probability[index, 0], labels.presence[index] = label
    return labels


def _read(path: Path, side: int) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as content:
            label = content["probability"], content["presence"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return label if label[0].shape == (side, side) and label[1].shape == () else None


@torch.inference_mode()
def _ask(teachers: Teachers, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probability, uint8 (S, S), and presence, float32 (), of an image uint8 (3, S, S)."""
    side = image.shape[-1]
    frame = torch.from_numpy(image)[None].to(next(teachers.parameters()).device).float() / 255
    frame = F.interpolate(frame, (teachers.size, teachers.size), mode="bilinear", antialias=True)
    logits, presence = teachers.predict(frame.contiguous(memory_format=torch.channels_last))
    probability = torch.sigmoid(F.interpolate(logits, (side, side), mode="bilinear"))[0, 0]
    if not torch.isfinite(probability).all() or not torch.isfinite(presence).all():
        raise InputError("the teachers give NaN for a training frame: train them again")
    return (
        (probability * 255).round().byte().cpu().numpy(),
        torch.sigmoid(presence)[0].float().cpu().numpy(),
    )
