"""The frames that a recipe names: committed lists, or a folder of your own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.dataset import resolve_set

from ..data import lists
from ..data.lists import ListedFrame
from .recipe import Recipe

LICENCE = (
    "Trained on data sets for research and education (named under data): not for commercial use without "
    "their owners' permission. Not a medical device."
)


@dataclass(frozen=True)
class Frames:
    """The frames of a run, and how they were chosen.

    Attributes:
        train, validation: with masks.
        unlabelled: of which no mask is used.
        polyp_free, polyp_free_validation: that show no polyp.
        lists: the names of what each of them was chosen by.
        licence: of the weights.
        differing: how many frames are not those of the committed lists.
    """

    train: list[ListedFrame]
    validation: list[ListedFrame]
    unlabelled: list[ListedFrame]
    polyp_free: list[ListedFrame]
    polyp_free_validation: list[ListedFrame]
    lists: dict[str, list[str]]
    licence: str
    differing: int = 0

    @property
    def shown(self) -> list[ListedFrame]:
        """All frames that training shows, in the order of :class:`~.pool.Pool`."""
        return [*self.train, *self.unlabelled, *self.polyp_free]

    @property
    def held_out(self) -> list[ListedFrame]:
        """The frames that choices are made by."""
        return [*self.validation, *self.polyp_free_validation]

    @property
    def fingerprint(self) -> str:
        """Changes with any frame."""
        return lists.fingerprint([*self.shown, *self.held_out])


def find_frames(recipe: Recipe, root: Path) -> tuple[Recipe, Frames]:
    """The recipe as it is used, and its frames.

    These are the recipe's committed lists below ``root``; or ``root`` itself (or its ``train``), when it is a
    set. Then the recipe's lists are left out: of the frames without masks, folders below ``root`` stay.

    Raises:
        InputError: frames are missing, or a frame is in training and validation.
    """
    own = _own_set(root)
    if own:
        recipe = replace(
            recipe,
            train=(),
            validation=(),
            unlabelled=_folders(recipe.unlabelled),
            polyp_free=_folders(recipe.polyp_free),
            polyp_free_validation=_folders(recipe.polyp_free_validation),
        )
        train, validation = lists.folder(own)
        differing = 0
        names = {"train": [own.name], "validation": [f"a tenth of {own.name}"]}
    else:
        train, differing = lists.resolve(recipe.train, root)
        validation, more = lists.resolve(recipe.validation, root)
        differing += more
        names = {"train": list(recipe.train), "validation": list(recipe.validation)}
    others = {}
    for group in ("unlabelled", "polyp_free", "polyp_free_validation"):
        chosen = getattr(recipe, group)
        others[group], more = lists.resolve_images(chosen, root)
        differing += more
        if chosen:
            names[group] = list(chosen)
    licence = f"that of the data in {own.name}" if own else LICENCE
    frames = Frames(train, validation, **others, lists=names, licence=licence, differing=differing)
    held_out = {frame.image for frame in frames.held_out}
    if shared := {frame.image for frame in frames.shown} & held_out:
        raise InputError(f"{min(shared)} is in training and validation: choose lists that share no frame")
    return recipe, frames


def _folders(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in lists.names())


def _own_set(root: Path) -> Path | None:
    """The set that ``root`` is or holds as ``train``; None when it holds named sets."""
    try:
        return resolve_set(root, "train")
    except InputError:
        return None
