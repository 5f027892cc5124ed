"""Reading and writing images: what is accepted, what is refused, and by what name.

Accepted: 8-bit colour, grey (made RGB) and RGBA (alpha dropped) in any format that OpenCV decodes. 16-bit and float
images are refused: how they should be scaled is the user's decision.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from .console import require
from .errors import InputError
from .files import replacing

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


@cache
def opencv() -> ModuleType:
    """OpenCV, imported at first use.

    Raises:
        MissingDependencyError: not installed.
    """
    return require(
        "cv2",
        "install microaunet[cpu] on a PC; on a Jetson use JetPack's own OpenCV "
        "(a virtual environment with --system-site-packages)",
    )
