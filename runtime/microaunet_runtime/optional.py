"""Packages that only some installs have, imported at first use, with the remedy when one is missing."""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType

from .errors import MissingDependencyError


def require(module: str, remedy: str) -> ModuleType:
    """The optional module ``module``, imported at first use.

    Raises:
        MissingDependencyError: it is not installed; the message holds ``remedy``.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f"{module} cannot be imported ({error}): {remedy}") from error


@cache
def opencv() -> ModuleType:
    """OpenCV, imported at first use.

    Raises:
        MissingDependencyError: not installed.
    """
    return require(
        "cv2",
        "install microaunet[cpu] on a PC; on a Jetson use JetPack's own OpenCV "
        "(a virtual environment with --system-site-packages); where libGL or libglib is missing: "
        "apt install libgl1 libglib2.0-0",
    )
