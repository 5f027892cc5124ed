"""A small set of synthetic frames, and the options that train on it in seconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from microaunet_runtime.images import synthetic


@pytest.fixture(scope="session")
def synthetic_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 20 frames of 64 x 64 in ``images/`` and their ``masks/``."""
    folder = tmp_path_factory.mktemp("set")
    synthetic.write_set(folder, 20, height=64, width=64)
    return folder
