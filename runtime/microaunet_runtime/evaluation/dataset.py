"""Image-mask pairs on disk: found by stem, checked when read.

A set is a folder with ``images/`` and ``masks/`` (or CVC-ClinicDB's ``Original/`` and ``Ground Truth/``); a
root holds sets by split, ``train/`` and ``val/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..images import EXTENSIONS, find_images, read_image, read_mask

LAYOUTS = (("images", "masks"), ("Original", "Ground Truth"))


@dataclass(frozen=True)
class Pair:
    """An image file and its mask file, which share ``stem``."""

    stem: str
    image: Path
    mask: Path


def find_pairs(folder: Path) -> list[Pair]:
    """All pairs of a set, sorted by stem. A mask without an image is left out.

    Raises:
        InputError: ``folder`` is not a set, has no image, an unpaired image, or two files of one stem.
    """
    layout = _layout(folder)
    if layout is None:
        raise InputError(
            f"{folder} is not a data set: expected a folder with images/ and masks/{_contents(folder)}"
        )
    images, masks = (images_by_stem(folder / name) for name in layout)
    if not images:
        raise InputError(f"{folder / layout[0]} holds no image ({', '.join(sorted(EXTENSIONS))})")
    if missing := sorted(set(images) - set(masks)):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"{images[missing[0]]}{more} has no mask: expected {folder / layout[1] / missing[0]}.png "
            "(any image suffix); add the mask or remove the image"
        )
    return [Pair(stem, images[stem], masks[stem]) for stem in sorted(images)]


def resolve_set(root: Path, split: str) -> Path:
    """The folder of a set: ``root`` itself when it is one, else ``root/split``.

    Raises:
        InputError: neither is a set.
    """
    for folder in (root, root / split):
        if is_set(folder):
            return folder
    raise InputError(
        f"{root} is not a data set: expected images/ and masks/ in it or in {root / split}{_contents(root)}"
    )


def is_set(folder: Path) -> bool:
    """Whether ``folder`` holds images with masks."""
    return _layout(folder) is not None


def load_pair(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Image, uint8 (h, w, 3) RGB, and mask of 0 and 1, uint8 (h, w).

    Raises:
        InputError: a file cannot be used (:mod:`microaunet_runtime.images`), or the sizes differ.
    """
    image, mask = read_image(pair.image), read_mask(pair.mask)
    if image.shape[:2] != mask.shape:
        raise InputError(
            f"{pair.mask} is {mask.shape[1]} x {mask.shape[0]}, but {pair.image} is {image.shape[1]} x "
            f"{image.shape[0]}: a mask must have its image's size"
        )
    return image, mask


def _layout(folder: Path) -> tuple[str, str] | None:
    return next((pair for pair in LAYOUTS if all((folder / name).is_dir() for name in pair)), None)


def _contents(folder: Path) -> str:
    """What the folder contains instead, for an error message."""
    if not folder.is_dir():
        return f"; {folder} does not exist or is not a folder"
    folders = sorted(p.name for p in folder.iterdir() if p.is_dir())[:8]
    return f"; it holds {', '.join(folders)}" if folders else "; it holds no folder"


def images_by_stem(folder: Path) -> dict[str, Path]:
    """The image files directly in ``folder``, by stem.

    Raises:
        InputError: it cannot be listed, or two files share a stem.
    """
    found: dict[str, Path] = {}
    for path in find_images(folder):
        if other := found.get(path.stem):
            raise InputError(f"{other} and {path.name} share the stem {path.stem!r}: remove one of them")
        found[path.stem] = path
    return found
