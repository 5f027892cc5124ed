"""The state of a run comes back as it was written, or not at all."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from microaunet.training import state
from microaunet_runtime.errors import InputError

RECIPE = {"name": "small", "epochs": 3}
FACTS = {"frames": "abc"}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    content: dict[str, Any] = {
        "recipe": RECIPE,
        "facts": FACTS,
        "epoch": 2,
        "model": {f"layer{index}.weight": torch.randn(4, 4) for index in range(4)},
    }
    state.save(tmp_path, content)
    return tmp_path / state.FILE


def load(path: Path) -> dict[str, Any]:
    return state.load(path.parent, RECIPE, FACTS)


def test_what_was_written_is_read(written: Path) -> None:
    found = load(written)
    torch.manual_seed(0)
    assert found["epoch"] == 2
    assert torch.equal(found["model"]["layer0.weight"], torch.randn(4, 4))


def test_no_flipped_bit_is_believed(written: Path) -> None:
    """It is refused, or it lies where the archive only fills up, and everything comes back as it was."""
    whole, expected = written.read_bytes(), load(written)
    rng = random.Random(0)
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        written.write_bytes(content)
        try:
            found = load(written)
        except InputError:
            refused += 1
            continue
        assert {**found, "model": None} == {**expected, "model": None}
        for name, tensor in expected["model"].items():
            assert torch.equal(found["model"][name], tensor)
    assert refused > 50


@pytest.mark.parametrize("kind", ["cut", "empty", "pickle", "pipe", "another program's", "without facts"])
def test_what_is_no_state_is_one_sentence(written: Path, kind: str) -> None:

    whole = written.read_bytes()
    written.unlink()
    if kind == "pipe":
        os.mkfifo(written)
    elif kind == "another program's":
        torch.save(torch.nn.Linear(1, 1), written)
    elif kind == "without facts":
        torch.save({"version": state.VERSION}, written)
    else:
        cut = whole[: len(whole) // 2]
        written.write_bytes({"cut": cut, "empty": b"", "pickle": pickle.dumps({"version": 2})}[kind])
    with pytest.raises(InputError, match=r"last\.ckpt"):
        load(written)
