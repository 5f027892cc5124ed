"""``manifest.json``: what each file of a bundle is, and what was measured when it was made."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import read_json, write_json
from .tolerance import Tolerance

FILE_NAME = "manifest.json"
SCHEMA = 4

PRECISIONS = ("fp32", "fp16", "int8", "int8-fp16")

MOST_BATCH = 64
"""The most frames of a batch of a fixed size."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """A file inside the bundle folder, named without any folder."""

    file: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Artefact(FileEntry):
    """One ONNX file. ``precision`` is one of :data:`PRECISIONS`; ``facts`` says how it was made."""

    precision: str
    opset: int
    nodes: int
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchFiles:
    """The same network for several frames at once, for servers. Sessions run the files for one frame.

    Attributes:
        size: the number of frames, or ``"dynamic"`` where it is left open.
        artefacts: by precision.
        differences: by precision, the greatest difference of a probability or presence from the file for one
            frame, on golden frames.
        tolerances: by precision, how far it may be.
    """

    size: int | str
    artefacts: dict[str, Artefact]
    differences: dict[str, float]
    tolerances: dict[str, float]


@dataclass(frozen=True)
class Manifest:
    """The contract of a bundle.

    Attributes:
        name: name of the weights.
        height, width: the frame that the graph takes, uint8 (1, height, width, 3) RGB.
        threshold: the probability above which a pixel of ``mask`` is 1.
        presence: the operating point: from this ``presence`` of a frame on, its regions are shown; 0: always.
        stabilised_presence: the same for stabilised masks, see :mod:`microaunet_runtime.stream.stabilise`.
        resize: how a source frame becomes that size; ``"stretch"`` is the only one.
        artefacts: by precision.
        tolerances: by precision, how far an artefact may be from the PyTorch reference.
        golden: the synthetic frames with the PyTorch reference's probability and presence.
        model: architecture, parameters, MACs, weights and their sha256.
        calibration: where the INT8 ranges came from, or None.
        verification: by precision, how well the artefact agreed with the PyTorch reference.
        versions: of the packages that made the bundle.
        batch: the files for several frames at once, or None.
    """

    name: str
    height: int
    width: int
    threshold: float
    presence: float
    stabilised_presence: float
    artefacts: dict[str, Artefact]
    tolerances: dict[str, Tolerance]
    golden: FileEntry
    model: dict[str, Any]
    versions: dict[str, str]
    calibration: dict[str, Any] | None = None
    verification: dict[str, Any] = field(default_factory=dict)
    resize: str = "stretch"
    batch: BatchFiles | None = None
    schema: int = SCHEMA

    def save(self, folder: Path) -> None:
        """Write ``manifest.json`` into ``folder``."""
        write_json(folder / FILE_NAME, asdict(self))

    @staticmethod
    def load(folder: Path) -> Manifest:
        """Read and check ``folder/manifest.json``; files are checked by :class:`~.bundle.Bundle`.

        Raises:
            InputError: no bundle there, a newer schema, or a field missing, of another type or out of range.
        """
        path = folder / FILE_NAME
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: give --bundle a folder written by microaunet-export")
        if not path.is_file():
            raise InputError(
                f"{folder} has no {FILE_NAME}: it is not a bundle; write one with microaunet-export"
            )
        return _parse(read_json(path, limit=4 << 20), path)


def _parse(content: Any, path: Path) -> Manifest:
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object: export the bundle again")
    schema = content.get("schema")
    if schema is None or not _is_int(schema):
        raise InputError(f"{path}: no schema number; export the bundle again")
    if schema > SCHEMA:
        raise InputError(
            f"{path} has schema {schema}, this program reads up to {SCHEMA}: "
            "upgrade microaunet or export the bundle again"
        )
    if schema < SCHEMA:
        raise InputError(
            f"{path} has schema {schema}, of a bundle whose graphs have no output for presence: "
            "export the bundle again"
        )

    def bad(what: str) -> InputError:
        return InputError(f"{path}: {what}; export the bundle again")

    known = {f.name for f in fields(Manifest)}
    # Fields without a default: both of its places then hold the same mark.
    needed = {entry.name for entry in fields(Manifest) if entry.default is entry.default_factory}
    if missing := needed - set(content):
        raise bad(f"missing {', '.join(sorted(missing))}")
    if unknown := set(content) - known:
        raise bad(f"unknown field {', '.join(sorted(map(repr, unknown)))}")
    if not isinstance(content["name"], str) or not _NAME.fullmatch(content["name"]):
        raise bad("name is not a plain name")
    for size in ("height", "width"):
        if not _is_int(content[size]) or not 32 <= content[size] <= 4096:
            raise bad(f"{size} is not a number from 32 to 4096")
    if not _is_number(content["threshold"]) or not 0 < content["threshold"] < 1:
        raise bad("threshold is not between 0 and 1")
    for name in ("presence", "stabilised_presence"):
        if not _is_number(content[name]) or not 0 <= content[name] < 1:
            raise bad(f"{name} is not from 0 to below 1")
    if content.get("resize", "stretch") != "stretch":
        raise bad(f"resize {content['resize']!r} is not known")
    for name, optional in (
        ("model", False),
        ("versions", False),
        ("verification", False),
        ("calibration", True),
    ):
        value = content.get(name, None if optional else {})
        if not isinstance(value, dict) and not (optional and value is None):
            raise bad(f"{name} is not an object")
    artefacts = content["artefacts"]
    if not isinstance(artefacts, dict) or "fp32" not in artefacts:
        raise bad("artefacts must hold at least fp32")
    if unknown := set(artefacts) - set(PRECISIONS):
        raise bad(f"unknown precision {', '.join(sorted(unknown))}")
    tolerances = content["tolerances"]
    if not isinstance(tolerances, dict) or set(tolerances) != set(artefacts):
        raise bad("tolerances must hold exactly the precisions of artefacts")
    return Manifest(
        **{
            **content,
            "tolerances": {key: _tolerance(key, value, bad) for key, value in tolerances.items()},
            "artefacts": {key: _artefact(key, value, bad) for key, value in artefacts.items()},
            "golden": FileEntry(**_entry("golden", content["golden"], bad, FileEntry)),
            "batch": _batch(content.get("batch"), artefacts, bad),
        }
    )


def _entry(key: str, value: Any, bad: Any, kind: type[FileEntry]) -> dict[str, Any]:
    """The checked fields of a file entry. Names are plain, so that no entry can leave the folder."""
    if not isinstance(value, dict) or set(value) - {f.name for f in fields(kind)}:
        raise bad(f"{key} is not a file entry")
    if not isinstance(value.get("file"), str) or not _NAME.fullmatch(value["file"]):
        raise bad(f"{key} names the file {value.get('file')!r}, which is not a plain name inside the bundle")
    if not isinstance(value.get("sha256"), str) or not _SHA256.fullmatch(value["sha256"]):
        raise bad(f"{key} has no sha256")
    if not _is_int(value.get("bytes")) or value["bytes"] < 0:
        raise bad(f"{key} has no size in bytes")
    return value


def _artefact(key: str, value: Any, bad: Any) -> Artefact:
    value = _entry(key, value, bad, Artefact)
    if value.get("precision") != key:
        raise bad(f"artefact {key} says precision {value.get('precision')!r}")
    if (
        not _is_int(value.get("opset"))
        or not _is_int(value.get("nodes"))
        or not isinstance(value.get("facts", {}), dict)
    ):
        raise bad(f"artefact {key} lacks opset, nodes or facts")
    return Artefact(**value)


def _batch(value: Any, artefacts: dict[str, Any], bad: Any) -> BatchFiles | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {entry.name for entry in fields(BatchFiles)}:
        raise bad("batch is not an entry of files for several frames")
    size = value["size"]
    if size != "dynamic" and not (_is_int(size) and 2 <= size <= MOST_BATCH):
        raise bad(f"batch has size {size!r}, which is neither dynamic nor from 2 to {MOST_BATCH}")
    for name in ("artefacts", "differences", "tolerances"):
        if not isinstance(value[name], dict) or set(value[name]) != set(artefacts):
            raise bad(f"{name} of batch must hold exactly the precisions of artefacts")
    if not all(map(_is_share, (*value["differences"].values(), *value["tolerances"].values()))):
        raise bad("batch holds a difference or a tolerance that is not from 0 to 1")
    found = {key: _artefact(key, entry, bad) for key, entry in value["artefacts"].items()}
    return BatchFiles(**{**value, "artefacts": found})


def _tolerance(key: str, value: Any, bad: Any) -> Tolerance:
    known = {entry.name for entry in fields(Tolerance)}
    if (
        not isinstance(value, dict)
        or set(value) - known
        or not all(_is_share(value.get(name)) for name in ("mask_agreement", "presence_difference"))
    ):
        raise bad(f"the tolerance of {key} names no mask_agreement or presence_difference from 0 to 1")
    if not all(each is None or _is_share(each) for each in value.values()):
        raise bad(f"the tolerance of {key} holds a limit that is not from 0 to 1")
    return Tolerance(**value)


def _is_share(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_int(value) or isinstance(value, float)
