"""A bundle folder on disk: opened, checked, and its files by what they are."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import read_bytes
from .graph_needs import needs
from .manifest import Artefact, FileEntry, Manifest
from .operators import OPERATORS

MOST_GOLDEN_BYTES = 256 << 20  # packed and unpacked; 24 frames of 256 x 256 take 11 MB
MOST_GRAPH_BYTES = 512 << 20  # a network of 130 million parameters in FP32


@dataclass(frozen=True)
class Golden:
    """Synthetic frames with the PyTorch reference's output, for a check without torch.

    Attributes:
        frames: uint8 (N, H, W, 3) RGB.
        probability: float32 (N, 1, H, W).
        presence: float32 (N,).
    """

    frames: np.ndarray
    probability: np.ndarray
    presence: np.ndarray


@dataclass(frozen=True)
class Graph:
    """An ONNX file of a bundle.

    Attributes:
        content: its bytes.
        unlisted: operators that are accepted because the bundle is trusted.
    """

    path: Path
    entry: Artefact
    content: bytes
    unlisted: tuple[str, ...]


class Bundle:
    """A folder written by ``microaunet-export``; it may come from an untrusted source.

    Opening checks the manifest; each file is checked when it is handed out: a regular file that fits in
    memory, with the manifest's sha256, and, for a graph, only operators of :data:`~.operators.OPERATORS`.

    Args:
        trust: accept other operators as well; see SECURITY.md for what they could do.
    """

    def __init__(self, folder: Path | str, *, trust: bool = False) -> None:
        self.folder = Path(folder)
        self.manifest = Manifest.load(self.folder)
        self.trust = trust

    def artefact(self, precision: str) -> tuple[Path, Artefact]:
        """Path and facts of the ONNX file of ``precision``.

        Raises:
            InputError: as :meth:`graph` does.
        """
        found = self.graph(precision)
        return found.path, found.entry

    def graph(self, precision: str) -> Graph:
        """The ONNX file of ``precision``, read and checked.

        Raises:
            InputError: the bundle has none; the file is missing, has changed or is too large, refers to other
                files, or uses an operator that is not listed and the bundle is not trusted.
        """
        entry = self.manifest.artefacts.get(precision)
        if entry is None:
            have = ", ".join(self.manifest.artefacts)
            hint = "; export with --int8 to get INT8" if precision.startswith("int8") else ""
            raise InputError(f"{self.folder} has no {precision} file (it has {have}){hint}")
        path, content = self.folder / entry.file, self._content(entry, MOST_GRAPH_BYTES)
        try:
            asked = needs(content)
        except ValueError as error:
            raise InputError(f"{path} is not an ONNX file ({error}): export the bundle again") from error
        if asked.external:  # such a file could make the program read anything on the machine
            raise InputError(f"{path} refers to data outside the file: export the bundle again")
        unlisted = tuple(sorted(asked.operators - OPERATORS))
        if unlisted and not self.trust:
            raise InputError(
                f"{path} uses {', '.join(unlisted)[:200]}, which is not known to be safe: "
                "add --trust if you trust the bundle's author"
            )
        return Graph(path, entry, content, unlisted)

    def check(self) -> None:
        """Check every file against the manifest.

        Raises:
            InputError: naming the first file that is missing or differs.
        """
        batch = self.manifest.batch
        for entry in (*self.manifest.artefacts.values(), *(batch.artefacts.values() if batch else ())):
            self._content(entry, MOST_GRAPH_BYTES)
        self._content(self.manifest.golden, MOST_GOLDEN_BYTES)

    def golden(self) -> Golden:
        """The golden frames.

        Raises:
            InputError: the file differs from the manifest or does not hold what the contract says.
        """
        path = self.folder / self.manifest.golden.file
        stream = io.BytesIO(self._content(self.manifest.golden, MOST_GOLDEN_BYTES))
        try:
            with zipfile.ZipFile(stream) as archive:
                if sum(part.file_size for part in archive.infolist()) > MOST_GOLDEN_BYTES:
                    raise ValueError(f"more than {MOST_GOLDEN_BYTES >> 20} MiB when unpacked")
            with np.load(stream, allow_pickle=False) as content:
                golden = Golden(content["frames"], content["probability"], content["presence"])
        except Exception as error:  # what a damaged archive makes zipfile and numpy raise has no common base
            raise InputError(
                f"{path} does not hold golden frames ({error}): export the bundle again"
            ) from error
        size = (self.manifest.height, self.manifest.width)
        if (
            golden.frames.dtype != np.uint8
            or golden.probability.dtype != np.float32
            or golden.presence.dtype != np.float32
            or golden.frames.shape[1:] != (*size, 3)
            or golden.probability.shape != (len(golden.frames), 1, *size)
            or golden.presence.shape != (len(golden.frames),)
        ):
            raise InputError(
                f"{path} holds golden frames of another shape than the manifest's: export the bundle again"
            )
        if not len(golden.frames):
            raise InputError(f"{path} holds no golden frame: export the bundle again")
        for values in (golden.probability, golden.presence):
            if not ((values >= 0) & (values <= 1)).all():  # NaN is neither
                raise InputError(
                    f"{path}: probabilities of golden frames are not from 0 to 1: export the bundle again"
                )
        return golden

    def _content(self, entry: FileEntry, limit: int) -> bytes:
        """The bytes of a file, checked against the manifest."""
        path = self.folder / entry.file
        if path.is_symlink() or not path.exists():
            raise InputError(f"{path} is missing from the bundle: copy the bundle again or export it again")
        content = read_bytes(path, limit)
        if len(content) != entry.bytes or hashlib.sha256(content).hexdigest() != entry.sha256:
            raise InputError(
                f"{path} is not the file that the manifest describes (sha256 differs): "
                "it was changed or damaged; copy the bundle again or export it again"
            )
        return content
