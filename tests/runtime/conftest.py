"""Fixtures for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from redness import write_bundle


@pytest.fixture
def tiny_bundle(tmp_path: Path) -> Path:
    """A bundle folder for frames of 64 x 96 whose network marks what is red."""
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiny bundle with other sizes, precisions or biases; see ``write_bundle``."""
    return lambda name="made", **facts: write_bundle(tmp_path / name, **facts)
