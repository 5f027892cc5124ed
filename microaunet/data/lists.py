"""Lists of frames: the committed ones by name, and any folder with ``images/`` and ``masks/``.

A committed list holds file names below the data root and the SHA-256 of every image and mask, never an image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from microaunet_runtime import files
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import Pair, find_pairs
from microaunet_runtime.images import find_images

VALIDATION_SHARE = 10  # one frame in so many is kept for validation


@dataclass(frozen=True)
class ListedFrame:
    """One image with its mask, and the hashes of their bytes; without a mask it has no mask hash."""

    image: Path
    mask: Path | None
    image_sha256: str
    mask_sha256: str | None

    @property
    def pair(self) -> Pair:
        """The files as a pair.

        Raises:
            InputError: there is no mask.
        """
        if self.mask is None:
            raise InputError(f"{self.image} has no mask")
        return Pair(self.image.stem, self.image, self.mask)


def names() -> list[str]:
    """The committed lists."""
    folder = resources.files("microaunet.data") / "splits"
    return sorted(
        entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")
    )


def read_list(name: str) -> list[dict[str, str]]:
    """The entries of a committed list: ``image`` and ``mask`` below the data root, and their SHA-256.

    Raises:
        InputError: there is no list of that name.
    """
    if name not in names():
        raise InputError(f"there is no data list {name!r}: choose among {', '.join(names())}")
    with resources.as_file(resources.files("microaunet.data") / "splits" / f"{name}.json") as path:
        return list(files.read_json(path)["frames"])


@cache
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    return files.sha256(path)


def sha256(path: Path) -> str:
    """The hash of a file's bytes, computed once per process while its size and time stay the same."""
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


def frame(image: Path, mask: Path | None) -> ListedFrame:
    """A pair, or an image alone, with the hashes of its present bytes."""
    return ListedFrame(image, mask, sha256(image), sha256(mask) if mask else None)


def resolve_images(list_names: Sequence[str], root: Path) -> tuple[list[ListedFrame], int]:
    """Like :func:`resolve`, without the masks; a name may also be that of a folder below ``root``.

    Raises:
        InputError: there is no list or folder of that name, or a set or an image is missing.
    """
    frames, differing = [], 0
    places: dict[Path, dict[str, Path]] = {}
    for name in list_names:
        if name not in names() and (root / name).is_dir():
            frames += [frame(image, None) for image in _images(root / name).values()]
            continue
        for entry in read_list(name):
            listed = Path(entry["image"])
            place = listed.parent.parent
            if place not in places:
                places[place] = _images(_set_folder(root, place))
            if listed.stem not in places[place]:
                raise InputError(f"{root / place} has no image {listed.stem!r}, which the list {name} names")
            found = frame(places[place][listed.stem], None)
            frames.append(found)
            differing += found.image_sha256 != entry["image_sha256"]
    return frames, differing


def _images(folder: Path) -> dict[str, Path]:
    """The images of a set, or of a plain folder, by stem."""
    images = folder / "images"
    return {path.stem: path for path in find_images(images if images.is_dir() else folder)}


def resolve(list_names: Sequence[str], root: Path) -> tuple[list[ListedFrame], int]:
    """The frames of committed lists below ``root``, and how many of them differ from the committed hashes.

    Frames are found by stem: original downloads (other suffixes, Kvasir-SEG without a split) serve too.

    Raises:
        InputError: no such list, a set is missing, or a frame of the list is.
    """
    frames, differing = [], 0
    pairs: dict[Path, dict[str, Pair]] = {}
    for entry in [entry for name in list_names for entry in read_list(name)]:
        name = Path(entry["image"])
        place = name.parent.parent
        if place not in pairs:
            pairs[place] = {pair.stem: pair for pair in find_pairs(_set_folder(root, place))}
        if name.stem not in pairs[place]:
            raise InputError(f"{root / place} has no frame {name.stem!r}, which the recipe's list names")
        pair = pairs[place][name.stem]
        found = frame(pair.image, pair.mask)
        frames.append(found)
        differing += (found.image_sha256, found.mask_sha256) != (entry["image_sha256"], entry["mask_sha256"])
    return frames, differing


def _set_folder(root: Path, place: Path) -> Path:
    """``root/place``, or the set without its split (the original layout of Kvasir-SEG)."""
    for folder in (root / place, root / place.parts[0]):
        if folder.is_dir():
            return folder
    raise InputError(
        f"{root / place} does not exist: --data must hold the sets that the recipe names "
        f"({place.parts[0]}/...), or be a folder with images/ and masks/"
    )


def folder(root: Path) -> tuple[list[ListedFrame], list[ListedFrame]]:
    """All pairs below ``root`` as (train, validation); the images' bytes say which tenth is validation.

    Raises:
        InputError: no pairs, an unpaired image, or fewer than two frames.
    """
    frames = [frame(pair.image, pair.mask) for pair in find_pairs(root)]
    if len(frames) < 2:
        raise InputError(f"{root} holds {len(frames)} frame: training and validation need at least 2")
    return cut_tenth(frames)


def cut_tenth(frames: Sequence[ListedFrame]) -> tuple[list[ListedFrame], list[ListedFrame]]:
    """(the rest, a tenth of ``frames``): the tenth with the lowest image hashes, so that it needs no seed."""
    order = sorted(frames, key=lambda one: one.image_sha256)
    count = max(1, len(frames) // VALIDATION_SHARE)
    kept = set(order[:count])
    return [one for one in frames if one not in kept], order[:count]


def fingerprint(frames: Sequence[ListedFrame]) -> str:
    """One hash that changes with any image, any mask and their order."""
    digest = hashlib.sha256()
    for one in frames:
        digest.update(f"{one.image_sha256}{one.mask_sha256 or ''}".encode())
    return digest.hexdigest()
