"""Images: reading and writing them, resizing them, drawing on them, and finding views and regions in them."""

from .reading import (
    EXTENSIONS,
    MASK_CUT,
    MAX_BYTES,
    MAX_PIXELS,
    find_images,
    read_image,
    read_mask,
    write_image,
)

__all__ = [
    "EXTENSIONS",
    "MASK_CUT",
    "MAX_BYTES",
    "MAX_PIXELS",
    "find_images",
    "read_image",
    "read_mask",
    "write_image",
]
