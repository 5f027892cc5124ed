"""Write the committed lists from the data: ``python -m microaunet.data.splits DATA_ROOT``.

Kvasir-SEG's test set is the published implementation's. Everything else is cut here with a fixed seed, and
validation always from the training part, so that no choice is made on frames that are reported.
"""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from microaunet_runtime import console, files
from microaunet_runtime.errors import InputError

SEED = 20251103
CALIBRATION_FRAMES = 256
TWINS = {"cju77k828z46w0871r0avuoo9"}  # the same frame as cju30bmab08bi0835mvlr6e0r of the test set
FOLDER = Path(__file__).parent

Names = list[str]


def cut(names: Names, share: float, seed: int = SEED) -> tuple[Names, Names]:
    """Shuffle with ``seed`` and cut: (the larger part, ``share`` of the names)."""
    shuffled = sorted(names)
    random.Random(seed).shuffle(shuffled)
    count = round(share * len(shuffled))
    return sorted(shuffled[count:]), sorted(shuffled[:count])


def images(folder: Path) -> Names:
    """The names of a folder's images, without suffix."""
    found = sorted(path.stem for path in (folder / "images").glob("*.jpg"))
    if not found:
        raise InputError(f"{folder}/images holds no .jpg: DATA_ROOT must hold the four sets")
    return found


def kvasir(root: Path) -> dict[str, tuple[str, Names]]:
    """Name of the list -> (folder below the root, stems)."""
    train, validation = cut(images(root / "kvasir-seg/train"), 0.1)
    _, calibration = cut(train, CALIBRATION_FRAMES / len(train))
    return {
        "kvasir-train": ("kvasir-seg/train", [stem for stem in train if stem not in TWINS]),
        "kvasir-validation": ("kvasir-seg/train", validation),
        "kvasir-test": ("kvasir-seg/val", images(root / "kvasir-seg/val")),
        "kvasir-calibration": ("kvasir-seg/train", [stem for stem in calibration if stem not in TWINS]),
    }


def clinicdb(root: Path) -> dict[str, tuple[str, Names]]:
    """The random 80/20 cut of frames (as papers do) and the cut by sequence (the honest one)."""
    folder = "cvc-clinicdb"
    stems = images(root / folder)
    with (root / folder / "sequences.csv").open() as stream:
        sequence_of = {row["frame_id"]: row["sequence_id"] for row in csv.DictReader(stream)}
    frames_of: dict[str, Names] = defaultdict(list)
    for stem in stems:
        frames_of[sequence_of[stem]].append(stem)

    def frames(sequences: Names) -> Names:
        return sorted(stem for sequence in sequences for stem in frames_of[sequence])

    lists: dict[str, Names] = {}
    rest, test = cut(stems, 0.2)
    train, validation = cut(rest, 0.1)
    lists |= {"random-train": train, "random-validation": validation, "random-test": test}
    rest, test = cut(list(frames_of), 0.2)
    train, validation = cut(rest, 0.1)
    lists |= {"sequence-train": frames(train), "sequence-validation": frames(validation)}
    lists |= {"sequence-test": frames(test)}
    return {f"clinicdb-{name}": (folder, stems) for name, stems in lists.items()}


def polypgen(root: Path) -> dict[str, tuple[str, Names]]:
    """PolypGen, cut 70 / 10 / 20 by group of near-duplicates."""
    return {f"polypgen-{part}": ("polypgen", stems) for part, stems in by_group(root / "polypgen").items()}


def polyp_free(root: Path) -> dict[str, tuple[str, Names]]:
    """The polyp-free set, cut by group and then listed by source, so that a recipe can leave a source out."""
    with (root / "polyp-free/groups.csv").open() as stream:
        source_of = {Path(row["image"]).stem: row["source"] for row in csv.DictReader(stream)}
    return {
        f"polyp-free-{source}-{part}": ("polyp-free", [stem for stem in stems if source_of[stem] == source])
        for part, stems in by_group(root / "polyp-free").items()
        for source in sorted(set(source_of.values()))
    }


def by_group(folder: Path) -> dict[str, Names]:
    """About 70 / 10 / 20 of a set's frames as train, validation and test; no group is in two of them."""
    with (folder / "groups.csv").open() as stream:
        groups: dict[str, Names] = defaultdict(list)
        for row in csv.DictReader(stream):
            groups[row["group"]].append(Path(row["image"]).stem)

    def frames(chosen: Names) -> Names:
        return sorted(stem for group in chosen for stem in groups[group])

    rest, test = cut(list(groups), 0.2)
    train, validation = cut(rest, 0.125)
    return {"train": frames(train), "validation": frames(validation), "test": frames(test)}


def main(root: Annotated[Path, typer.Argument(help="Holds the four sets.")]) -> None:
    """Write every list. The same data give the same bytes."""
    for name, (folder, stems) in (kvasir(root) | clinicdb(root) | polypgen(root) | polyp_free(root)).items():
        frames = []
        for stem in stems:
            image, mask = f"{folder}/images/{stem}.jpg", f"{folder}/masks/{stem}.png"
            hashes = {"image_sha256": files.sha256(root / image), "mask_sha256": files.sha256(root / mask)}
            frames.append({"image": image, "mask": mask, **hashes})
        files.write_json(FOLDER / f"{name}.json", {"name": name, "seed": SEED, "frames": frames})
        console.out.print(f"{name}: {len(frames)} frames")


if __name__ == "__main__":
    console.command_app(main)()
