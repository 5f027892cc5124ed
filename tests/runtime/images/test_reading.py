"""Images: what is accepted comes out right, what is refused is refused by name."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microaunet_runtime.errors import InputError
from microaunet_runtime.images import EXTENSIONS, read_image, read_mask, write_image
from microaunet_runtime.images.complaints import complaints
from microaunet_runtime.images.header import read_header
from microaunet_runtime.images.synthetic import frame

RGB = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
PICTURE = frame(3, 240, 320, polyps=1)[0]
SMOOTH = cv2.resize(RGB[:6, :8], (96, 64), interpolation=cv2.INTER_CUBIC)


def encoded(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    done, content = cv2.imencode(suffix, pixels, list(options))
    assert done
    return content.tobytes()


def saved(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff"])
def test_lossless_formats_give_back_what_was_written(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", RGB)
    np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), RGB)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp", ".JPG"])
def test_lossy_formats_keep_the_channel_order(tmp_path: Path, suffix: str) -> None:
    write_image(tmp_path / f"a{suffix}", SMOOTH)
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - SMOOTH).mean() < 4


def test_grey_becomes_rgb_and_alpha_is_dropped(tmp_path: Path) -> None:
    grey = saved(tmp_path, "grey.png", encoded(".png", RGB[:, :, 0]))
    np.testing.assert_array_equal(read_image(grey), np.repeat(RGB[:, :, :1], 3, axis=2))
    bgra = np.dstack([RGB[:, :, ::-1], np.zeros(RGB.shape[:2], np.uint8)])
    np.testing.assert_array_equal(read_image(saved(tmp_path, "rgba.png", encoded(".png", bgra))), RGB)


def test_a_mask_survives_png_and_jpeg(tmp_path: Path) -> None:
    mask = np.zeros((60, 80), np.uint8)
    mask[20:40, 16:50] = 1
    write_image(tmp_path / "m.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png"), mask)
    three = np.repeat((mask * 255)[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read_mask(saved(tmp_path, "m.jpg", encoded(".jpg", three))), mask)


def test_a_mask_is_cut_above_127(tmp_path: Path) -> None:
    path = saved(tmp_path, "m.png", encoded(".png", np.array([[0, 127, 128, 255]], np.uint8)))
    assert read_mask(path).tolist() == [[0, 0, 1, 1]]


def test_a_mask_of_zeros_and_ones_is_refused_instead_of_read_as_empty(tmp_path: Path) -> None:
    path = saved(tmp_path, "m.png", encoded(".png", np.eye(8, dtype=np.uint8)))
    with pytest.raises(InputError, match=r"m\.png holds 0 and 1"):
        read_mask(path)


@pytest.mark.parametrize("values", [(0, 100), (0, 1, 2, 3), (127,), (5, 90)])
def test_a_mask_of_other_values_is_refused_instead_of_read_as_empty(
    tmp_path: Path, values: tuple[int, ...]
) -> None:
    path = saved(tmp_path, "m.png", encoded(".png", np.resize(np.array(values, np.uint8), (6, 8))))
    with pytest.raises(InputError, match=rf"m\.png holds 0 and {max(values)}, and nothing above 127"):
        read_mask(path)


def test_an_empty_mask_stays_empty_with_what_a_lossy_format_leaves_in_it(tmp_path: Path) -> None:
    assert not read_mask(saved(tmp_path, "m.png", encoded(".png", np.zeros((8, 8), np.uint8)))).any()
    residue = np.random.default_rng(0).integers(0, 6, (64, 64), np.uint8)
    assert not read_mask(saved(tmp_path, "m.jpg", encoded(".jpg", residue))).any()


def test_a_coloured_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="coloured"):
        read_mask(saved(tmp_path, "m.png", encoded(".png", RGB)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_refused_by_name(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path, f"deep{suffix}", encoded(suffix, RGB.astype(np.uint16) * 257))
    with pytest.raises(InputError, match=r"deep.* 16 bits"):
        read_image(path)


def test_float_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="32 bits"):
        read_image(saved(tmp_path, "a.tif", encoded(".tif", RGB.astype(np.float32))))


@pytest.mark.parametrize("suffix", sorted(EXTENSIONS))
@pytest.mark.parametrize("kept", [0.98, 0.5, 0.1, 0.01])
def test_a_truncated_file_is_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    whole = encoded(suffix, RGB)
    path = saved(tmp_path, f"cut{suffix}", whole[: max(1, int(len(whole) * kept))])
    with pytest.raises(InputError, match=r"cut\."):
        read_image(path)


def test_a_jpeg_that_lost_only_its_end_is_refused_and_trailing_bytes_are_not(tmp_path: Path) -> None:
    whole = encoded(".jpg", SMOOTH)
    with pytest.raises(InputError, match="cut short"):
        read_image(saved(tmp_path, "cut.jpg", whole[:-2]))
    np.testing.assert_array_equal(
        read_image(saved(tmp_path, "more.jpg", whole + b"trailer")),
        read_image(saved(tmp_path, "whole.jpg", whole)),
    )


def test_a_jpeg_thumbnail_does_not_pass_for_the_end_of_its_image(tmp_path: Path) -> None:
    whole = encoded(".jpg", SMOOTH)
    thumbnail = encoded(".jpg", SMOOTH[:8, :8])
    app1 = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    read_image(saved(tmp_path, "a.jpg", whole[:2] + app1 + whole[2:]))
    with pytest.raises(InputError, match="cut short"):
        read_image(saved(tmp_path, "b.jpg", (whole[:2] + app1 + whole[2:])[:-40]))


@pytest.mark.parametrize("marker", [0x00, 0x01, 0xD0, 0xD7, 0xD8, 0xD9])
def test_a_jpeg_cannot_show_one_size_and_be_of_another(tmp_path: Path, marker: int) -> None:
    """A marker without a length, read as if it had one, would lead to a frame header inside a comment."""
    whole = encoded(".jpg", SMOOTH)
    small = b"\xff\xc0" + struct.pack(">HBHH", 11, 8, 64, 64) + bytes(4)
    comment = b"\xff\xfe" + struct.pack(">H", len(small) + 2) + small
    bare = bytes((0xFF, marker))
    with pytest.raises(InputError, match="marker in the wrong place"):
        read_image(saved(tmp_path, "a.jpg", whole[:2] + bare + comment + whole[2:]))
    with pytest.raises(InputError, match="two frame headers"):
        read_image(saved(tmp_path, "b.jpg", whole[:2] + small + whole[2:]))


def test_a_changed_byte_in_a_png_is_refused(tmp_path: Path) -> None:
    content = bytearray(encoded(".png", RGB))
    content[len(content) // 2] ^= 1
    with pytest.raises(InputError, match="checksum"):
        read_image(saved(tmp_path, "a.png", bytes(content)))


def test_an_exif_orientation_turns_neither_image_nor_mask(tmp_path: Path) -> None:
    whole = encoded(".jpg", SMOOTH)
    tiff = b"MM\0*" + struct.pack(
        ">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0
    )  # orientation 6: turned by 90 degrees
    app1 = b"Exif\0\0" + tiff
    turned = whole[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + whole[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (96, 64, 3)
    assert read_image(saved(tmp_path, "a.jpg", turned)).shape == (64, 96, 3)


def tiff(pixels: np.ndarray, *tags: tuple[int, int, int, bytes]) -> bytes:
    """An uncompressed big-endian TIFF of uint8 (h, w, channels), with further tags."""
    height, width, channels = pixels.shape
    short = {256: width, 257: height, 259: 1, 262: 2, 277: channels, 278: height}
    entries = [(tag, 3, 1, struct.pack(">HH", value, 0)) for tag, value in short.items()]
    bits = 8 + 2 + 12 * (len(entries) + 3 + len(tags)) + 4
    entries += [
        (258, 3, channels, struct.pack(">I", bits)),
        (273, 4, 1, struct.pack(">I", bits + 2 * channels)),
    ]
    entries += [(279, 4, 1, struct.pack(">I", pixels.size)), *tags]
    table = b"".join(struct.pack(">HHI", *entry[:3]) + entry[3] for entry in sorted(entries))
    head = b"MM\0*" + struct.pack(">IH", 8, len(entries)) + table + bytes(4)
    return head + struct.pack(f">{channels}H", *[8] * channels) + pixels.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_orientation_turns_neither_image_nor_mask(tmp_path: Path, orientation: int) -> None:
    turned = tiff(RGB, (274, 3, 1, struct.pack(">HH", orientation, 0)))
    np.testing.assert_array_equal(read_image(saved(tmp_path, "a.tif", turned)), RGB)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_the_alpha_of_a_tiff_is_dropped_and_darkens_nothing(tmp_path: Path, kind: int) -> None:
    alpha = np.arange(RGB[..., 0].size, dtype=np.uint32).reshape(RGB.shape[:2]).astype(np.uint8)
    content = tiff(np.dstack([RGB, alpha]), (338, 3, 1, struct.pack(">HH", kind, 0)))
    np.testing.assert_array_equal(read_image(saved(tmp_path, "a.tif", content)), RGB)


COMPRESSED = {
    "baseline.jpg": encoded(".jpg", PICTURE),
    "progressive.jpg": encoded(".jpg", PICTURE, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "optimised.jpg": encoded(".jpg", PICTURE, cv2.IMWRITE_JPEG_OPTIMIZE, 1),
    "restarting.jpg": encoded(".jpg", PICTURE, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "lzw.tif": encoded(".tif", PICTURE, cv2.IMWRITE_TIFF_COMPRESSION, 5),
    "deflate.tif": encoded(".tif", PICTURE, cv2.IMWRITE_TIFF_COMPRESSION, 8),
    "packbits.tif": encoded(".tif", PICTURE, cv2.IMWRITE_TIFF_COMPRESSION, 32773),
    "filtered.png": encoded(".png", PICTURE),
}


@pytest.mark.parametrize("name", COMPRESSED)
def test_an_image_with_a_hole_is_refused(tmp_path: Path, name: str) -> None:
    """Where the rest of a JPEG still decodes to its last byte, nobody can tell: one in a hundred."""
    whole = COMPRESSED[name]
    read_image(saved(tmp_path, name, whole))
    random = np.random.default_rng(0)
    passed = 0
    for turn in range(30):
        size = int(random.integers(64, len(whole) // 4))
        at = int(random.integers(len(whole) // 10, len(whole) - size))
        hole = (bytes(size), random.bytes(size), b"\xff" * size)[turn % 3]
        try:
            read_image(saved(tmp_path, name, whole[:at] + hole + whole[at + size :]))
        except InputError as error:
            assert name in str(error)  # noqa: PT017 (most are refused, not all)
        else:
            passed += 1
    assert passed <= 1


@pytest.mark.parametrize("kept", np.linspace(0.1, 0.99, 12))
@pytest.mark.parametrize("name", [name for name in COMPRESSED if name.endswith("jpg")])
def test_an_end_marker_makes_no_whole_jpeg_of_a_part(tmp_path: Path, name: str, kept: float) -> None:
    whole = COMPRESSED[name]
    with pytest.raises(InputError, match=r"damaged|cut short"):
        read_image(saved(tmp_path, name, whole[: int(kept * len(whole))] + b"\xff\xd9"))


def test_what_other_threads_say_while_an_image_is_decoded_is_passed_on(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with complaints() as said:
        os.write(2, b"a message\n")
        os.write(2, b"Corrupt JPEG data: premature end of data segment\n")
        os.write(2, b"Corrupt JPEG data: bad ICC marker\nhalf a line")
    assert said == ["Corrupt JPEG data: premature end of data segment"]
    assert capfd.readouterr().err == "a message\nCorrupt JPEG data: bad ICC marker\nhalf a line"


def test_images_are_read_without_a_standard_error(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.jpg", COMPRESSED["baseline.jpg"])
    code = (
        "import os, pathlib; from microaunet_runtime.images import read_image\n"
        f"os.close(2); read_image(pathlib.Path({str(path)!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("kind", ["repeated", "endless"])
def test_a_tiff_that_would_keep_the_reader_busy_is_refused(tmp_path: Path, kind: str) -> None:
    """65,000 entries, each of which points at all of the file; or one with a million strips."""
    sizes = struct.pack("<HHIIHHII", 256, 4, 1, 8, 257, 4, 1, 8)[:24]
    if kind == "repeated":
        count, entries = 65_000, struct.pack("<HHII", 273, 1, 60_000, 8) * 65_000
    else:
        count, entries = 3, sizes + struct.pack("<HHII", 273, 4, 1_000_000, 8)
    content = b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4 << 20)
    started = time.perf_counter()
    with pytest.raises(InputError, match="TIFF"):
        read_image(saved(tmp_path, "a.tif", content))
    assert time.perf_counter() - started < 5


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def test_a_huge_image_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, "bomb.png", png_header(60_000, 60_000))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the image was decoded"))
    with pytest.raises(InputError, match=r"bomb.png is 60000 x 60000.*scale it down"):
        read_image(path)


def test_an_image_without_pixels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 x 5"):
        read_image(saved(tmp_path, "a.png", png_header(0, 5)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello", "is not a JPEG"),
        (png_header(4, 4), "damaged"),
        (b"GIF89a" + bytes(99), "is not a JPEG"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_image(saved(tmp_path, "a.png", content))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.png does not exist"):
        read_image(tmp_path / "a.png")
    with pytest.raises(InputError, match="is not a file"):
        read_image(tmp_path)


def test_a_file_over_the_byte_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    with path.open("wb") as stream:
        stream.truncate((256 << 20) + 1)  # sparse: takes no space
    with pytest.raises(InputError, match="larger than 256 MiB"):
        read_image(path)


@pytest.mark.parametrize("suffix", sorted(EXTENSIONS))
@pytest.mark.parametrize("shape", [(37, 53), (256, 1), (1, 300)])
def test_headers_agree_with_the_decoder(suffix: str, shape: tuple[int, int]) -> None:
    pixels = np.zeros((*shape, 3), np.uint8)
    header = read_header(encoded(suffix, pixels))
    assert (header.height, header.width, header.bits) == (*shape, 8)


WHOLE = {suffix: encoded(suffix, RGB[:9, :11]) for suffix in sorted(EXTENSIONS)}


@given(
    suffix=st.sampled_from(sorted(EXTENSIONS)),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=8),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_gives_another_error(tmp_path: Path, suffix: str, changes: list[tuple[int, int]]) -> None:
    content = bytearray(WHOLE[suffix])
    for position, value in changes:
        content[position % len(content)] = value
    path = saved(tmp_path, f"a{suffix}", bytes(content))
    try:
        pixels = read_image(path)
    except InputError:
        return
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3


def test_lossless_webp_and_progressive_jpeg_are_read(tmp_path: Path) -> None:
    webp = encoded(".webp", RGB[:, :, ::-1], cv2.IMWRITE_WEBP_QUALITY, 101)
    np.testing.assert_array_equal(read_image(saved(tmp_path, "a.webp", webp)), RGB)
    jpeg = encoded(".jpg", SMOOTH[:, :, ::-1], cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert read_image(saved(tmp_path, "a.jpg", jpeg)).shape == SMOOTH.shape


def test_an_unknown_suffix_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown image suffix"):
        write_image(tmp_path / "a.gif", RGB)
    assert list(tmp_path.iterdir()) == []


def test_real_images_and_masks_are_accepted(data_root: Path) -> None:
    folder = data_root / "kvasir-seg" / "val"
    for image in sorted((folder / "images").iterdir())[:10]:
        pixels = read_image(image)
        mask = read_mask(folder / "masks" / f"{image.stem}.png")
        assert pixels.shape[:2] == mask.shape
        assert 0 < mask.mean() < 1
