"""Networks from elsewhere: found by registration or by path, refused by name when they break the contract."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from foreign_networks import Coarse, Grey, InADict, SmallUNet, TwoClasses

from microaunet import checkpoint
from microaunet.models import create, foreign
from microaunet_runtime.errors import InputError

PATH = "foreign_networks:SmallUNet"


def register(folder: Path, lines: str) -> None:
    """An installed package, as far as the search for entry points sees one."""
    place = folder / "scopes-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: scopes\nVersion: 1.0\n")
    (place / "entry_points.txt").write_text(f"[{foreign.GROUP}]\n{lines}\n")


def test_a_path_names_a_network() -> None:
    assert type(create(PATH)) is SmallUNet


def test_a_module_in_the_current_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab_network.py").write_text(
        "from torch import nn\ndef one():\n    return nn.Conv2d(3, 1, 3, padding=1)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "unrelated")  # restores the search path afterwards
    assert isinstance(create("lab_network:one"), torch.nn.Conv2d)


def test_an_installed_package_registers_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no network is named 'scope-unet'"):
        create("scope-unet")
    register(tmp_path, f"scope-unet = {PATH}")
    monkeypatch.syspath_prepend(tmp_path)
    assert type(create("scope-unet")) is SmallUNet
    weights = tmp_path / "mine.safetensors"
    checkpoint.save(weights, create("scope-unet"), "scope-unet", {"size": 64})
    assert checkpoint.load(weights).architecture == "scope-unet"
    with pytest.raises(InputError, match=r"one of edge, .*scope-unet"):
        create("scope-net")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere_at_all.nets:unet", "'nowhere_at_all.nets' cannot be imported"),
        ("foreign_networks:absent", "has no 'absent'"),
        ("foreign_networks:needs_arguments", r"needs_arguments\(\) failed .*without arguments"),
        ("foreign_networks:no_network", r"returned a int, expected a torch\.nn\.Module"),
    ],
)
def test_what_is_no_network_is_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        create(name)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (InADict(), "returns a dict, expected one tensor of logits"),
        (TwoClasses(), r"returns float32 \(1, 2, 64, 64\).*one class"),
        (Coarse(), r"returns float32 \(1, 1, 32, 32\).*at the size of the frame"),
        (Grey(), r"does not take float32 \(1, 3, 64, 64\)"),
        (SmallUNet().double(), r"does not take float32"),
    ],
)
def test_a_network_that_breaks_the_contract_is_refused(network: torch.nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=f"network mine {message}"):
        foreign.check(network, "mine", 64, 64)


def test_weights_alone_never_import_code(tmp_path: Path) -> None:
    weights = tmp_path / "mine.safetensors"
    checkpoint.save(weights, SmallUNet(), "this:exit", {})
    with pytest.raises(InputError, match=r"not imported because a file says so.*--network this:exit"):
        checkpoint.load(weights)
    assert checkpoint.load(weights, PATH).architecture == PATH
