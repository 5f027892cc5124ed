"""Reading and writing images: what is accepted, and what is refused with a message.

Accepted: 8-bit colour, grey (made RGB) and RGBA (alpha dropped) as JPEG, PNG, BMP, TIFF or WebP. Refused:
16-bit and float images (how they should be scaled is the user's decision), damaged or truncated files, and
files over :data:`MAX_BYTES` or :data:`MAX_PIXELS`, which are never decoded. Orientation (EXIF, TIFF) is
not applied: pixels are read as stored, so an image and its mask cannot be rotated differently.

Damage is found as far as the format allows: by checksums (PNG), by the decoder's complaints (JPEG, compressed
TIFF), and by sizes. Changed pixels inside a BMP, an uncompressed TIFF or a WebP file cannot be detected.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..files import write_bytes
from ..optional import opencv
from .complaints import complaints
from .header import HeaderError, ImageHeader, read_header

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

MAX_BYTES = 256 << 20
MAX_PIXELS = 64_000_000

MASK_CUT = 127
"""A mask pixel is foreground above this value: masks stored as JPEG are not exactly 0 and 255."""

_COLOUR_SPREAD = 32  # between channels; JPEG leaves a few steps in a grey image

# Grey that lossy formats leave in an empty mask, cut from one that was not. In others it has a meaning.
_LOSSY_RESIDUE = {"JPEG": 16, "WebP": 16}


def find_images(folder: Path) -> list[Path]:
    """The image files directly in ``folder``, sorted by name; hidden files are left out.

    Raises:
        InputError: ``folder`` is not a folder or cannot be listed.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder} cannot be listed: {(error.strerror or str(error)).lower()}") from error
    return [
        p for p in entries if p.suffix.lower() in EXTENSIONS and not p.name.startswith(".") and p.is_file()
    ]


def read_image(path: Path) -> np.ndarray:
    """The image in a file, uint8 (h, w, 3) RGB.

    Raises:
        InputError: missing, empty, damaged, truncated, too large, or not 8 bits per channel.
    """
    cv2 = opencv()
    pixels, _ = _decode(path)
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def read_mask(path: Path) -> np.ndarray:
    """The mask in a file, uint8 (h, w): 1 where the stored value is above :data:`MASK_CUT`, else 0.

    Raises:
        InputError: as :func:`read_image`; or the mask is coloured, or has values such as class numbers and
            none that is foreground.
    """
    cv2 = opencv()
    pixels, header = _decode(path)
    if pixels.ndim == 3:
        colour = pixels[:, :, :3]
        if int((colour.max(axis=2) - colour.min(axis=2)).max()) > _COLOUR_SPREAD:
            raise InputError(f"{path} is coloured: a mask must be black (0) and white (255)")
        pixels = cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_BGR2GRAY)
    if _LOSSY_RESIDUE.get(header.format, 0) < (most := int(pixels.max())) <= MASK_CUT:
        raise InputError(
            f"{path} holds 0 and {most}, and nothing above {MASK_CUT}: a mask must hold 0 and 255; "
            + ("multiply it by 255" if most == 1 else "write 255 where a polyp is")
        )
    return (pixels > MASK_CUT).view(np.uint8)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write uint8 (h, w, 3) RGB, or a mask of 0 and 1, uint8 (h, w), which is stored as 0 and 255.

    The format follows the suffix. The file appears whole or not at all.

    Raises:
        InputError: a suffix that is not in :data:`EXTENSIONS`, or the file cannot be written.
    """
    cv2 = opencv()
    if path.suffix.lower() not in EXTENSIONS:
        raise InputError(f"{path}: unknown image suffix; use one of {', '.join(sorted(EXTENSIONS))}")
    stored = image * np.uint8(255) if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(path.suffix.lower(), stored)
    if not done:
        raise InputError(f"OpenCV cannot write {path}: choose .png")
    write_bytes(path, encoded.tobytes())


def _decode(path: Path) -> tuple[np.ndarray, ImageHeader]:
    """The stored pixels, uint8 (h, w), (h, w, 3) BGR or (h, w, 4) BGRA, and the file's header."""
    cv2 = opencv()
    content = _read_bytes(path)
    try:
        header = read_header(content)
    except HeaderError as error:
        raise InputError(f"{path} {error}: replace or remove it") from error
    if header.width * header.height > MAX_PIXELS:
        raise InputError(
            f"{path} is {header.width} x {header.height} pixels, more than {MAX_PIXELS // 1_000_000} "
            "million: scale it down"
        )
    if header.bits > 8:
        raise InputError(f"{path} has {header.bits} bits per channel: convert it to 8 bits")
    stored = np.frombuffer(header.as_stored(content), np.uint8)
    try:
        with complaints() as said:
            # IMREAD_UNCHANGED also leaves an EXIF orientation alone
            pixels = cv2.imdecode(stored, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise InputError(f"{path} cannot be decoded ({error.err}): replace or remove it") from error
    if pixels is None:
        raise InputError(f"{path} is damaged: the {header.format} decoder gave up; replace or remove it")
    if said:
        raise InputError(
            f"{path} is damaged: the {header.format} decoder says {said[0]!r}; replace or remove it, or save "
            "it again if it looks intact"
        )
    if pixels.dtype != np.uint8 or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise InputError(f"{path} holds {pixels.dtype} {pixels.shape}: convert it to 8-bit grey or RGB")
    return pixels, header


def _read_bytes(path: Path) -> bytes:
    if not path.is_file():
        raise InputError(f"{path} is not a file" if path.exists() else f"{path} does not exist")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty: replace or remove it")
    if size > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES >> 20} MiB: not an image that this program reads")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
