"""Weights on disk: safetensors that name their architecture, beside a card (JSON) with their origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from microaunet_runtime.errors import InputError
from microaunet_runtime.files import sha256, write_bytes, write_json

from .card import SIDE, THRESHOLD, read_card
from .models import create, foreign

SHIPPED = Path(__file__).parent / "weights"
SIZE = (SIDE, SIDE)


@dataclass(frozen=True)
class Checkpoint:
    """Trained weights in their network.

    Attributes:
        model: in evaluation mode; float32 (N, 3, H, W) in 0..1 to logits (N, 1, H, W).
        card: where the weights come from, how they were trained and what they reach.
        name: the shipped name, or the file's stem.
        sha256: of the weights file.
        architecture: the network's name, see :func:`.models.create`.
        threshold: on the probability.
        presence: the operating point, the presence from which a frame's regions are shown; 0 (always) if the
            card names none.
        stabilised_presence: the same with stabilisation; ``presence`` where the card names none.
        size: height and width that the weights were trained for.
    """

    model: nn.Module
    card: dict[str, Any]
    name: str
    sha256: str
    architecture: str
    threshold: float = THRESHOLD
    presence: float = 0.0
    stabilised_presence: float = 0.0
    size: tuple[int, int] = SIZE

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The data lists of the frames that training showed, as the card names them."""
        lists = self.card.get("data", {}).get("lists", {})
        return tuple(name for group in ("train", "unlabelled", "polyp_free") for name in lists.get(group, []))


def shipped() -> list[str]:
    """Names of the weights inside the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def locate(weights: str | Path) -> Path:
    """The file that ``weights`` names: a shipped name or a path.

    Raises:
        InputError: neither exists.
    """
    if str(weights) in shipped():
        return SHIPPED / f"{weights}.safetensors"
    path = Path(weights)
    if path.is_file():
        return path
    raise InputError(
        f"no weights {str(weights)!r}: give a .safetensors file or one of {', '.join(shipped())}"
    )


def save(path: Path, model: nn.Module, architecture: str, card: dict[str, Any]) -> None:
    """Write ``model``'s parameters and buffers to ``path`` (.safetensors) and the card beside it (.json)."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    write_bytes(path, to_bytes(state, metadata={"architecture": architecture}))
    write_json(path.with_suffix(".json"), {"architecture": architecture, **card})


def load(weights: str | Path, network: str | None = None) -> Checkpoint:
    """The checkpoint of shipped weights by name, or of a file.

    Args:
        network: what the weights belong to (:func:`.models.create`), instead of what the file says. A file
            alone never makes this program import code: ``package.module:factory`` must be given here.

    Raises:
        InputError: missing, not safetensors (pickles are never loaded), truncated, of an unknown or another
            architecture, holding NaN or infinity, or with an invalid card.
    """
    path = locate(weights)
    try:
        with safe_open(path, framework="pt") as content:
            metadata = content.metadata() or {}
            state = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path} is not a complete safetensors file ({error}): pickled checkpoints are not loaded; "
            "train or convert with microaunet-train"
        ) from error
    architecture = network or metadata.get("architecture")
    if architecture is None:
        raise InputError(
            f"{path} does not say its architecture: it was not written by microaunet-train; "
            "microaunet-export --network package.module:factory says which network it belongs to"
        )
    if network is None and foreign.is_path(architecture):
        raise InputError(
            f"{path} belongs to {architecture}, which is not imported because a file says so: give "
            f"microaunet-export --network {architecture}, or register the network under the entry-point "
            f"group {foreign.GROUP}"
        )
    card = read_card(path.with_suffix(".json"))
    return Checkpoint(
        _filled(path, architecture, state),
        card,
        path.stem,
        sha256(path),
        architecture,
        card["threshold"],
        card["presence"],
        card["stabilised_presence"],
        (card["size"], card["size"]),
    )


def _filled(path: Path, architecture: str, state: dict[str, Tensor]) -> nn.Module:
    model = create(architecture)
    expected = model.state_dict()
    for name, value in expected.items():
        if name not in state or state[name].shape != value.shape:
            raise InputError(f"{path} does not fit {architecture!r}: {name} is missing or of another shape")
        if not torch.isfinite(state[name]).all():
            raise InputError(
                f"{path} holds NaN or infinity in {name}: train again from an earlier checkpoint"
            )
    if unknown := sorted(set(state) - set(expected)):
        raise InputError(f"{path} does not fit {architecture!r}: it also holds {unknown[0]}")
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)
