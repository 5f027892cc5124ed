"""The header of an image file, read before anything is decoded: format, size, bit depth, completeness.

A decoder allocates what the header asks for, and silently fills missing parts with grey, so both are checked
first. Formats: JPEG, PNG, BMP, TIFF and WebP.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass


class HeaderError(ValueError):
    """The file is of no known format, damaged or cut short; the message completes "the file ..."."""


@dataclass(frozen=True)
class ImageHeader:
    """The facts in a file's header.

    Attributes:
        bits: per channel.
        changes: bytes to put at positions of the file before it is decoded, so that its pixels come as they
            are stored.
    """

    format: str
    width: int
    height: int
    bits: int
    changes: tuple[tuple[int, bytes], ...] = ()

    def as_stored(self, content: bytes) -> bytes:
        """``content``, the file that this header belongs to, with :attr:`changes` applied."""
        if not self.changes:
            return content
        changed = bytearray(content)
        for position, value in self.changes:
            changed[position : position + len(value)] = value
        return bytes(changed)


def read_header(content: bytes) -> ImageHeader:
    """The header of an image file given as bytes; damage that is visible without decoding is found here.

    Raises:
        HeaderError: unknown format, a damaged header or checksum, or a file that ends too early.
    """
    for magic, reader in _READERS:
        if content.startswith(magic):
            try:
                header = reader(content)
            except (struct.error, IndexError) as error:
                raise HeaderError("is cut short: it ends inside its header") from error
            if header.width < 1 or header.height < 1:
                raise HeaderError(f"says it is {header.width} x {header.height} pixels")
            return header
    raise HeaderError("is not a JPEG, PNG, BMP, TIFF or WebP image")


_JPEG_BARE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})  # stuffing, TEM, RST0 to RST7, SOI, EOI


def _jpeg(content: bytes) -> ImageHeader:
    position, header = 2, None
    while True:
        if content[position] != 0xFF:
            raise HeaderError("is damaged: its JPEG segments do not line up")
        marker = content[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _JPEG_BARE:  # it has no length: a decoder would go on at another place than this
            raise HeaderError("is damaged: a JPEG marker in the wrong place")
        (length,) = struct.unpack_from(">H", content, position + 2)
        # SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), which share the range
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if header:
                raise HeaderError("is damaged: a JPEG with two frame headers")
            bits, height, width = struct.unpack_from(">BHH", content, position + 4)
            header = ImageHeader("JPEG", width, height, bits)
        position += 2 + length
        if marker == 0xDA:  # the scan begins: inside it FF D9 can only be the end of the image
            break
    if header is None:
        raise HeaderError("is damaged: a JPEG without a frame header")
    if content.find(b"\xff\xd9", position) < 0:
        raise HeaderError("is cut short: a JPEG without its end marker")
    return header


def _png(content: bytes) -> ImageHeader:
    width, height, bits = struct.unpack_from(">IIB", content, 16)
    position = 8
    while True:
        if position + 12 > len(content):
            raise HeaderError("is cut short: a PNG without its end chunk")
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 8 + length
        if end + 4 > len(content):
            raise HeaderError("is cut short: a PNG that ends inside a chunk")
        if zlib.crc32(content[position + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            raise HeaderError("is damaged: a PNG chunk does not match its checksum")
        if kind == b"IEND":
            return ImageHeader("PNG", width, height, bits)
        position = end + 4


def _bmp(content: bytes) -> ImageHeader:
    offset, size, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
    if size < 40:
        raise HeaderError("is a BMP of the OS/2 kind, which is not read; save it as PNG")
    height = abs(height)  # negative: stored from the top row down
    if compression == 0 and len(content) < offset + (width * bits + 31) // 32 * 4 * height:
        raise HeaderError("is cut short: a BMP with fewer pixels than its size needs")
    return ImageHeader("BMP", width, height, 8)  # bits counts all channels; none has more than 8


def _webp(content: bytes) -> ImageHeader:
    (size,) = struct.unpack_from("<I", content, 4)
    if content[8:12] != b"WEBP":
        raise HeaderError("is a RIFF file but no WebP image")
    if len(content) < size + 8:
        raise HeaderError("is cut short: a WebP smaller than it says")
    kind = content[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(content[24:27], "little") + 1
        height = int.from_bytes(content[27:30], "little") + 1
    elif kind == b"VP8L":
        (packed,) = struct.unpack_from("<I", content, 21)
        width, height = (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 ":
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", content, 26))
    else:
        raise HeaderError("is damaged: a WebP without an image")
    return ImageHeader("WebP", width, height, 8)


# Tags of TIFF 6.0: ImageWidth, ImageLength, BitsPerSample; offsets and byte counts of strips and of tiles.
_WIDTH, _HEIGHT, _BITS = 256, 257, 258
_DATA = ((273, 279), (324, 325))
# Orientation, which OpenCV obeys, and ExtraSamples, at whose "unassociated alpha" (2) it multiplies
# colours by alpha: both are set to what changes no pixel.
_ORIENTATION, _EXTRA_SAMPLES = 274, 338
_READ = {_WIDTH, _HEIGHT, _BITS, _ORIENTATION, _EXTRA_SAMPLES, *(tag for pair in _DATA for tag in pair)}
_FIELD = {1: "B", 3: "H", 4: "I"}  # BYTE, SHORT, LONG
_MOST_VALUES = 1 << 16  # strips or tiles: an image has fewer rows than that


def _tiff(content: bytes) -> ImageHeader:
    order = "<" if content[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", content, 4)
    (entries,) = struct.unpack_from(order + "H", content, start)
    tags: dict[int, tuple[int, ...]] = {}
    changes: list[tuple[int, bytes]] = []
    for position in range(start + 2, start + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from(order + "HHI", content, position)
        if tag not in _READ or kind not in _FIELD:
            continue
        if tag in tags or count > _MOST_VALUES:
            raise HeaderError("is damaged: a TIFF that repeats a tag, or with more parts than rows")
        layout = f"{order}{count}{_FIELD[kind]}"
        at = position + 8
        if struct.calcsize(layout) > 4:
            (at,) = struct.unpack_from(order + "I", content, at)
        tags[tag] = struct.unpack_from(layout, content, at)
        if tag in (_ORIENTATION, _EXTRA_SAMPLES):
            ones = (1 if tag == _ORIENTATION or value == 2 else value for value in tags[tag])
            changes.append((at, struct.pack(layout, *ones)))
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise HeaderError("is damaged: a TIFF without a size")
    for offsets, counts in _DATA:
        for offset, count in zip(tags.get(offsets, ()), tags.get(counts, ()), strict=False):
            if offset + count > len(content):
                raise HeaderError("is cut short: a TIFF with fewer pixels than it says")
    return ImageHeader(
        "TIFF", tags[_WIDTH][0], tags[_HEIGHT][0], max(tags.get(_BITS) or (1,)), tuple(changes)
    )


_READERS = (
    (b"\xff\xd8\xff", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"BM", _bmp),
    (b"RIFF", _webp),
    (b"II*\0", _tiff),
    (b"MM\0*", _tiff),
)
