"""Checks on the container of a video: whether it is one, and whether the file holds all of it.

FFmpeg reads text and images as videos too, takes damage for the end of a video, and continues after a gap.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...errors import InputError

CUT_SHORT = "was cut short"
DAMAGED = "is damaged"

_PLAYLIST = re.compile(
    rb"[\xef\xbb\xbf \t\r\n]*(#extm3u|ffconcat|\[playlist\]|<\?xml|<mpd|v=0)", re.IGNORECASE
)


def check_video(path: Path) -> None:
    """Raise InputError for a file that is not a video, before anything tries to decode it."""
    with path.open("rb") as stream:
        start = stream.read(_START)
    if _PLAYLIST.match(start):  # a decoder would open what it names
        raise InputError(f"{path} is a playlist, which names other files: give the video itself")
    if not any(pattern.match(start) for pattern, _ in _KINDS):
        raise InputError(
            f"{path} does not open as a video: it is not an MP4, MOV, AVI, Matroska, WebM, MPEG, WMV, FLV, "
            "Ogg, MXF, IVF or H.264 file (images: JPEG, PNG, BMP, TIFF, WebP)"
        )


def defect(path: Path) -> str:
    """The defect that is visible without decoding: :data:`CUT_SHORT`, :data:`DAMAGED`, or nothing.

    Sizes are compared with the file's: of the top boxes of MP4 and MOV, of AVI, of WMV, of each element of
    Matroska and WebM, and of each packet of MPEG streams. Only a decoder can check what lies inside them.
    """
    with path.open("rb") as stream:
        start = stream.read(_START)
        stream.seek(0)
        size = os.fstat(stream.fileno()).st_size
        for pattern, reader in _KINDS:
            if pattern.match(start):
                try:
                    return reader(stream, size)
                except (struct.error, IndexError):  # the file ends inside a header
                    return CUT_SHORT
    return DAMAGED


def _boxes(stream: BinaryIO, size: int) -> str:
    """MP4 and MOV: boxes of a size and a type. Junk after the last one is common and no defect."""
    position = 0
    while position + 8 <= size:
        stream.seek(position)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", stream.read(8))
        if length == 0 or not re.fullmatch(rb"[a-z]{4}", kind):
            return ""
        if position + length > size:
            return CUT_SHORT
        position += max(length, 8)
    return ""


def _avi(stream: BinaryIO, size: int) -> str:
    (stated,) = struct.unpack("<4xI", stream.read(8))
    return CUT_SHORT if stated + 8 > size else ""


def _wmv(stream: BinaryIO, size: int) -> str:
    """ASF: its "file properties" object states the size of the file."""
    header = stream.read(1 << 16)
    at = header.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    if at < 0:
        return DAMAGED
    (stated,) = struct.unpack_from("<Q", header, at + 40)
    return CUT_SHORT if stated > size else ""


# The elements of Matroska that hold clusters and blocks, which are entered, and those beside them.
_ENTERED = {0x18538067, 0x1F43B675}
_KNOWN = {0x1A45DFA3, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1043A770, 0x1254C367, 0x1941A469} | {
    *(0xEC, 0xBF, 0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0xAF, 0x5854)
}


def _matroska(stream: BinaryIO, size: int) -> str:
    position = 0
    while position < size:
        stream.seek(position)
        head = stream.read(12)
        width = 9 - head[0].bit_length()
        if width > 4:
            return DAMAGED
        element = int.from_bytes(head[:width], "big")
        if element not in _ENTERED | _KNOWN:
            return DAMAGED
        wide = 9 - head[width].bit_length()
        if wide > 8:
            return DAMAGED
        unknown = (1 << 7 * wide) - 1  # written while recording
        length = int.from_bytes(head[width : width + wide], "big") & unknown
        position += width + wide
        if length != unknown and position + length > size:
            return CUT_SHORT
        if element not in _ENTERED:
            position += length
    return ""


def _program_stream(stream: BinaryIO, size: int) -> str:
    """MPEG-1 and MPEG-2 program streams: packs, and packets of a stated length."""
    position = 0
    while position < size:
        stream.seek(position)
        head = stream.read(14)
        if head[:3] != b"\0\0\1":
            return DAMAGED
        if head[3] == 0xBA:
            position += 14 + (head[13] & 7) if head[4] & 0xC0 == 0x40 else 12
        elif head[3] == 0xB9:
            position += 4
        elif head[3] < 0xB9:
            return DAMAGED
        else:
            position += 6 + struct.unpack(">H", head[4:6])[0]
    return CUT_SHORT if position > size else ""


def _transport_stream(first: int, packet: int) -> Callable[[BinaryIO, int], str]:
    def read(stream: BinaryIO, size: int) -> str:
        """Packets of 188 bytes (192 with a time stamp), each of which begins with the same byte."""
        while block := stream.read(packet << 14):
            starts = np.frombuffer(block, np.uint8)[first::packet]
            if (starts != 0x47).any():
                return DAMAGED
        return CUT_SHORT if size % packet else ""

    return read


def _unknown(stream: BinaryIO, size: int) -> str:
    """A container that is not looked into."""
    return ""


_START = 1024  # bytes that a container is known by
_KINDS: tuple[tuple[re.Pattern[bytes], Callable[[BinaryIO, int], str]], ...] = tuple(
    (re.compile(pattern, re.DOTALL), reader)
    for pattern, reader in (
        (rb".{4}(ftyp|moov|mdat|free|skip|wide|pnot)", _boxes),
        (rb"RIFF.{4}AVI ", _avi),
        (rb"\x1a\x45\xdf\xa3", _matroska),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", _wmv),
        (rb"\x00\x00\x01\xba", _program_stream),
        (rb"\x47.{187}\x47.{187}\x47", _transport_stream(0, 188)),
        (rb".{4}\x47.{191}\x47.{191}\x47", _transport_stream(4, 192)),
        (rb".{1,187}\x47.{187}\x47.{187}\x47", _unknown),  # a recording that begins inside a packet
        # FLV, Ogg, MXF, IVF; an MPEG video stream, and H.264 and H.265 as streams of their own.
        (rb"FLV\x01|OggS|\x06\x0e\x2b\x34|DKIF|\x00{2,3}\x01[\xb3\x09\x27\x40\x46\x67]", _unknown),
    )
)
