"""A bundle folder on disk: opened, checked, and its files handed out by meaning."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import sha256
from .manifest import Artefact, FileEntry, Manifest

MOST_GOLDEN_BYTES = 256 << 20  # unpacked; 24 frames of 256 x 256 take 11 MB


@dataclass(frozen=True)
class Golden:
    """Synthetic frames with the PyTorch reference's output, for a check without torch.

    Attributes:
        frames: uint8 (N, H, W, 3) RGB.
        probability: float32 (N, 1, H, W).
    """

    frames: np.ndarray
    probability: np.ndarray


class Bundle:
    """A folder written by ``microaunet-export``.

    Opening checks the manifest; each file is checked against its sha256 when it is first handed out.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.manifest = Manifest.load(self.folder)
        self._checked: set[str] = set()

    def artefact(self, precision: str) -> tuple[Path, Artefact]:
        """Path and facts of the ONNX file of ``precision``.

        Raises:
            InputError: the bundle has none, the file is missing or has changed, or it refers to other files.
        """
        entry = self.manifest.artefacts.get(precision)
        if entry is None:
            have = ", ".join(self.manifest.artefacts)
            hint = "; export with --int8 to get INT8" if precision.startswith("int8") else ""
            raise InputError(f"{self.folder} has no {precision} file (it has {have}){hint}")
        path = self.checked(entry)
        # The key under which ONNX names a file of external data. A bundle's files are complete in themselves;
        # one that asks for another file could read anything on the machine.
        if b"location" in path.read_bytes():
            raise InputError(f"{path} refers to data outside the file: export the bundle again")
        return path, entry

    def checked(self, entry: FileEntry) -> Path:
        """Path of a file after its size and sha256 were found as the manifest says.

        Raises:
            InputError: it is missing, a link, or differs from the manifest.
        """
        path = self.folder / entry.file
        if entry.file in self._checked:
            return path
        if path.is_symlink() or not path.is_file():
            raise InputError(f"{path} is missing from the bundle: copy the bundle again or export it again")
        if path.stat().st_size != entry.bytes or sha256(path) != entry.sha256:
            raise InputError(
                f"{path} is not the file that the manifest describes (sha256 differs): "
                "it was changed or damaged; copy the bundle again or export it again"
            )
        self._checked.add(entry.file)
        return path

    def check(self) -> None:
        """Check every file against the manifest.

        Raises:
            InputError: naming the first file that is missing or differs.
        """
        for entry in (*self.manifest.artefacts.values(), self.manifest.golden):
            self.checked(entry)

    def golden(self) -> Golden:
        """The golden frames.

        Raises:
            InputError: the file differs from the manifest or does not hold what the contract says.
        """
        path = self.checked(self.manifest.golden)
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(part.file_size for part in archive.infolist()) > MOST_GOLDEN_BYTES:
                    raise ValueError(f"more than {MOST_GOLDEN_BYTES >> 20} MiB when unpacked")
            with np.load(path, allow_pickle=False) as content:
                golden = Golden(content["frames"], content["probability"])
        except Exception as error:  # what a damaged archive makes zipfile and numpy raise has no common base
            raise InputError(
                f"{path} does not hold golden frames ({error}): export the bundle again"
            ) from error
        size = (self.manifest.height, self.manifest.width)
        if not len(golden.frames):
            raise InputError(f"{path} holds no golden frame: export the bundle again")
        if (
            golden.frames.dtype != np.uint8
            or golden.probability.dtype != np.float32
            or golden.frames.shape[1:] != (*size, 3)
            or golden.probability.shape != (len(golden.frames), 1, *size)
        ):
            raise InputError(
                f"{path} holds frames of another shape than the manifest's: export the bundle again"
            )
        return golden
