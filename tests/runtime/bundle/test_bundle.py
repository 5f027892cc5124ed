"""A bundle that was changed, cut or made for another program is refused by name."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from microaunet_runtime import Bundle, InputError


def test_a_whole_bundle_gives_its_files(tiny_bundle: Path) -> None:
    bundle = Bundle(tiny_bundle)
    bundle.check()
    path, artefact = bundle.artefact("fp32")
    assert path == tiny_bundle / "fp32.onnx"
    assert artefact.opset == 17
    golden = bundle.golden()
    assert golden.frames.shape == (3, 64, 96, 3)
    assert golden.probability.shape == (3, 1, 64, 96)


@pytest.mark.parametrize("name", ["fp32.onnx", "golden.npz"])
def test_one_changed_byte_is_found(tiny_bundle: Path, name: str) -> None:
    path = tiny_bundle / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{name}.*sha256 differs"):
        Bundle(tiny_bundle).check()


def test_a_cut_file_and_a_missing_file_are_found(tiny_bundle: Path) -> None:
    model = tiny_bundle / "fp32.onnx"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(InputError, match="sha256 differs"):
        Bundle(tiny_bundle).artefact("fp32")
    model.unlink()
    with pytest.raises(InputError, match="missing"):
        Bundle(tiny_bundle).artefact("fp32")


def test_a_link_out_of_the_folder_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.onnx"
    shutil.move(tiny_bundle / "fp32.onnx", outside)
    (tiny_bundle / "fp32.onnx").symlink_to(outside)
    with pytest.raises(InputError, match="missing from the bundle"):
        Bundle(tiny_bundle).artefact("fp32")


def test_a_graph_that_refers_to_another_file_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    """Whoever asks for it: ONNX Runtime, or the one who builds engines from it."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_bundle / "fp32.onnx")
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "weight")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=str(tmp_path / "secret.bin"))
    (tiny_bundle / "fp32.onnx").write_bytes(model.SerializeToString())
    restamp(tiny_bundle, lambda manifest: manifest["artefacts"]["fp32"])
    with pytest.raises(InputError, match="outside the file"):
        Bundle(tiny_bundle).artefact("fp32")


def test_pickled_golden_frames_are_never_loaded(tiny_bundle: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tiny_bundle / "trapped"),)

    replace_golden(tiny_bundle, frames=np.array([Trap()], dtype=object), probability=np.zeros(1))
    with pytest.raises(InputError, match="golden"):
        Bundle(tiny_bundle).golden()
    assert not (tiny_bundle / "trapped").exists()


@pytest.mark.parametrize(
    "arrays",
    [
        {"frames": np.zeros((1, 64, 96, 3), np.uint8)},
        {"frames": np.zeros((1, 32, 96, 3), np.uint8), "probability": np.zeros((1, 1, 32, 96), np.float32)},
        {"frames": np.zeros((1, 64, 96, 3), np.float32), "probability": np.zeros((1, 1, 64, 96), np.float32)},
        {"frames": np.zeros((2, 64, 96, 3), np.uint8), "probability": np.zeros((1, 1, 64, 96), np.float32)},
    ],
)
def test_golden_frames_of_another_shape_are_refused(tiny_bundle: Path, arrays: dict[str, np.ndarray]) -> None:
    replace_golden(tiny_bundle, **arrays)
    with pytest.raises(InputError, match="golden"):
        Bundle(tiny_bundle).golden()


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04" + bytes(100), b"\x93NUMPY\x01\x00" + bytes(60)],
    ids=["empty", "a damaged archive", "no archive"],
)
def test_a_damaged_golden_file_is_one_clear_error(tiny_bundle: Path, content: bytes) -> None:
    (tiny_bundle / "golden.npz").write_bytes(content)
    restamp(tiny_bundle, lambda manifest: manifest["golden"])
    with pytest.raises(InputError, match="golden frames"):
        Bundle(tiny_bundle).golden()


def test_golden_frames_that_unpack_to_more_than_memory_are_refused(tiny_bundle: Path) -> None:
    with zipfile.ZipFile(tiny_bundle / "golden.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("frames.npy", bytes(300 << 20))
    restamp(tiny_bundle, lambda manifest: manifest["golden"])
    with pytest.raises(InputError, match="more than 256 MiB"):
        Bundle(tiny_bundle).golden()


def replace_golden(folder: Path, **arrays: np.ndarray) -> None:
    """Put other golden frames into a bundle whose manifest agrees with them."""
    np.savez(folder / "golden.npz", **arrays)
    restamp(folder, lambda manifest: manifest["golden"])


def restamp(folder: Path, entry: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let the manifest agree with the present bytes of a file."""
    manifest = json.loads((folder / "manifest.json").read_text())
    facts = entry(manifest)
    content = (folder / facts["file"]).read_bytes()
    facts.update(sha256=sha256(content).hexdigest(), bytes=len(content))
    (folder / "manifest.json").write_text(json.dumps(manifest))
