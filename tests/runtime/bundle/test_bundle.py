"""A bundle that was changed, cut or made for another program is refused by name."""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile_graphs import give, looping_graph
from redness import restamp

from microaunet_runtime import Bundle, InputError
from microaunet_runtime.bundle import bundle as bundle_module


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


def test_a_node_may_have_any_name(tiny_bundle: Path) -> None:
    """Also one that holds the word under which ONNX names a file of external data."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(tiny_bundle / "fp32.onnx")
    model.graph.node[0].name = "relocation"
    (tiny_bundle / "fp32.onnx").write_bytes(model.SerializeToString())
    restamp(tiny_bundle, lambda manifest: manifest["artefacts"]["fp32"])
    assert Bundle(tiny_bundle).artefact("fp32")


def test_an_operator_that_is_not_listed_needs_trust(tiny_bundle: Path) -> None:
    give(tiny_bundle, lambda height, width: looping_graph(height, width, 3))
    with pytest.raises(InputError, match=r"fp32\.onnx uses Loop, .*--trust"):
        Bundle(tiny_bundle).artefact("fp32")
    assert Bundle(tiny_bundle, trust=True).graph("fp32").unlisted == ("Loop",)


@pytest.mark.parametrize("name", ["fp32.onnx", "golden.npz", "manifest.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "a link to itself"])
def test_what_is_no_regular_file_is_refused_at_once(tiny_bundle: Path, name: str, kind: str) -> None:
    path = tiny_bundle / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        if os.geteuid():
            pytest.skip("making a device needs root")
        try:
            os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero, which never ends
        except PermissionError:
            pytest.skip("this machine lets nobody make a device")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(name)
    with pytest.raises(InputError, match=re.escape(str(tiny_bundle))):
        Bundle(tiny_bundle).check()


def test_a_graph_that_would_fill_the_memory_is_refused_unread(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle_module.MOST_GRAPH_BYTES <= 1 << 30
    monkeypatch.setattr(bundle_module, "MOST_GRAPH_BYTES", 1 << 20)
    with (tiny_bundle / "fp32.onnx").open("r+b") as stream:
        stream.truncate(1 << 40)  # sparse: a terabyte that takes no room
    with pytest.raises(InputError, match="larger than 1 MiB"):
        Bundle(tiny_bundle).artefact("fp32")


def test_pickled_golden_frames_are_never_loaded(tiny_bundle: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tiny_bundle / "trapped"),)

    replace_golden(tiny_bundle, frames=np.array([Trap()], dtype=object), probability=np.zeros(1))
    with pytest.raises(InputError, match="golden"):
        Bundle(tiny_bundle).golden()
    assert not (tiny_bundle / "trapped").exists()


GOLDEN = {"frames": np.zeros((1, 64, 96, 3), np.uint8), "probability": np.zeros((1, 1, 64, 96), np.float32)}


@pytest.mark.parametrize(
    "arrays",
    [
        {"frames": np.zeros((1, 64, 96, 3), np.uint8)},
        {"frames": np.zeros((1, 32, 96, 3), np.uint8), "probability": np.zeros((1, 1, 32, 96), np.float32)},
        {"frames": np.zeros((1, 64, 96, 3), np.float32), "probability": np.zeros((1, 1, 64, 96), np.float32)},
        {"frames": np.zeros((2, 64, 96, 3), np.uint8), "probability": np.zeros((1, 1, 64, 96), np.float32)},
        {
            "frames": np.zeros((0, 64, 96, 3), np.uint8),
            "probability": np.zeros((0, 1, 64, 96), np.float32),
            "presence": np.zeros(0, np.float32),
        },
        {**GOLDEN, "presence": np.array([np.nan], np.float32)},
        {**GOLDEN, "presence": np.zeros(2, np.float32)},
        {"frames": np.zeros((1, 64, 96, 3), np.uint8), "probability": np.full((1, 1, 64, 96), np.nan, "f4")},
        {"frames": np.zeros((1, 64, 96, 3), np.uint8), "probability": np.full((1, 1, 64, 96), 7, "f4")},
        {"frames": np.array(3, np.uint8), "probability": np.array(0.5, np.float32)},
    ],
)
def test_golden_frames_of_another_shape_or_value_are_refused(
    tiny_bundle: Path, arrays: dict[str, np.ndarray]
) -> None:
    replace_golden(tiny_bundle, **{"presence": np.full(1, 0.5, np.float32), **arrays})
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
