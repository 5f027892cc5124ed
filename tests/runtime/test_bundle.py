"""A bundle that was changed, cut or made for another program is refused by name."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

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


def replace_golden(folder: Path, **arrays: np.ndarray) -> None:
    """Put other golden frames into a bundle whose manifest agrees with them."""
    from hashlib import sha256

    path = folder / "golden.npz"
    np.savez(path, **arrays)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["golden"].update(sha256=sha256(path.read_bytes()).hexdigest(), bytes=path.stat().st_size)
    (folder / "manifest.json").write_text(json.dumps(manifest))
