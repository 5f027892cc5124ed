"""What teachers say about stored frames, asked once and kept: they cost more than the student's step."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from microaunet_runtime import console, files
from microaunet_runtime.errors import InputError

from .pool import Labels
from .teachers import Teachers

BATCH = 16
VERSION = 1  # raise when what is stored changes


def open_labels(teachers: Teachers, stored: np.ndarray, fingerprint: str, size: int, folder: Path) -> Labels:
    """The teachers' word on every stored frame, from the cache in ``folder``, or asked for now.

    Args:
        teachers: on their device.
        stored: uint8 (N, 4, S, S).
        fingerprint: of the frames.
        size: pixels per side at which the teachers look.
        folder: holds a file per teachers, frames and sizes.

    Raises:
        InputError: ``folder`` cannot be written.
    """
    facts = [VERSION, teachers.sha256, teachers.flips, fingerprint, stored.shape[-1], size]
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
    path = folder / f"labels-{stored.shape[-1]}-{key}.npz"
    labels = _read(path, stored)
    if labels is None:
        labels = _ask(teachers, stored, size)
        with files.replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, probability=labels.probability, presence=labels.presence)
    return labels


def _read(path: Path, stored: np.ndarray) -> Labels | None:
    try:
        with np.load(path, allow_pickle=False) as content:
            labels = Labels(content["probability"], content["presence"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    count, _, side, _ = stored.shape
    fits = labels.probability.shape == (count, 1, side, side) and labels.presence.shape == (count,)
    return labels if fits else None


@torch.inference_mode()
def _ask(teachers: Teachers, stored: np.ndarray, size: int) -> Labels:
    side = stored.shape[-1]
    device = next(teachers.parameters()).device
    probability = np.empty((len(stored), 1, side, side), np.uint8)
    presence = np.empty(len(stored), np.float32)
    with console.progress() as progress:
        for start in progress.track(range(0, len(stored), BATCH), description="asking the teachers"):
            frames = torch.from_numpy(stored[start : start + BATCH, :3]).to(device).float() / 255
            frames = F.interpolate(frames, (size, size), mode="bilinear", antialias=True)
            logits, present = teachers.predict(frames.contiguous(memory_format=torch.channels_last))
            maps = torch.sigmoid(F.interpolate(logits, (side, side), mode="bilinear"))
            probability[start : start + BATCH] = (maps * 255).round().byte().cpu().numpy()
            presence[start : start + BATCH] = torch.sigmoid(present).cpu().numpy()
    if not np.isfinite(presence).all():
        raise InputError("the teachers say NaN about a training frame: train them again")
    return Labels(probability, presence)
