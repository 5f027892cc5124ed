"""Frames decoded and resized once, then memory-mapped: shared by all runs on the same files and size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from microaunet_runtime import console, files
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import load_pair
from microaunet_runtime.images import read_image
from microaunet_runtime.images.resize import resize_frame

from .lists import ListedFrame, fingerprint

VERSION = 2  # raise when the stored layout or the way of resizing changes


def default_folder() -> Path:
    """``$XDG_CACHE_HOME/microaunet``, else ``~/.cache/microaunet``."""
    return files.user_folder("XDG_CACHE_HOME", ".cache") / "microaunet"


def load(frame: ListedFrame) -> tuple[np.ndarray, np.ndarray]:
    """A frame's image, uint8 (h, w, 3) RGB, and its mask, uint8 (h, w) of 0 and 1, at native size.

    The mask of a frame without one is empty.
    """
    if frame.mask is None:
        image = read_image(frame.image)
        return image, np.zeros(image.shape[:2], np.uint8)
    return load_pair(frame.pair)


def open_frames(frames: Sequence[ListedFrame], size: int, folder: Path) -> np.ndarray:
    """The frames at ``size`` x ``size`` from the cache in ``folder``, decoded now if they are not there yet.

    Returns memory-mapped uint8 (N, 4, S, S): red, green, blue and the mask, 0..255.

    The file's name is made of the frames' hashes and the size, so changed frames never use an old cache. A
    file that was cut short is written again.

    Raises:
        InputError: an image or mask cannot be read, or ``folder`` cannot be written.
    """
    key = hashlib.sha256(f"{VERSION} {size} {fingerprint(frames)}".encode()).hexdigest()[:24]
    path = folder / f"frames-{size}-{key}.npy"
    shape = (len(frames), 4, size, size)
    stored = _read(path, shape)
    if stored is None:
        _write(path, frames, shape)
        stored = _read(path, shape)
    if stored is None:
        raise InputError(f"{path} cannot be read back after writing: choose another --cache")
    return stored


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        stored = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return stored if stored.shape == shape and stored.dtype == np.uint8 else None


def _write(path: Path, frames: Sequence[ListedFrame], shape: tuple[int, ...]) -> None:
    size = shape[2]
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    # Written, not mapped: on a full disk a write is an error, and a map kills the process.
    with files.replacing(path) as temporary, temporary.open("wb") as stream, console.progress() as progress:
        np.lib.format.write_array_header_1_0(stream, header)
        for frame in progress.track(frames, description="decoding frames"):
            image, mask = load(frame)
            stream.write(resize_frame(image, size, size).transpose(2, 0, 1).tobytes())
            stream.write(soft_mask(mask, size).tobytes())


def soft_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """A mask of 0 and 1 as uint8 (size, size), grey along the edge, so that a warp keeps it in place."""
    return resize_frame(mask * np.uint8(255), size, size)
