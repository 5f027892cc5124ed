"""Trained weights that a student learns from: as teachers, alone or as an ensemble, with or without
mirroring, or as its starting point.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from microaunet_runtime import console
from microaunet_runtime.errors import InputError

from .. import checkpoint
from ..checkpoint import SIZE, Checkpoint
from ..data import lists
from ..data.lists import ListedFrame
from ..models import create, foreign
from ..models.lite import LiteTeacher
from ..models.presence_head import predict
from .distill import Teaching
from .recipe import Distillation, Recipe
from .validation import Validation

IMAGENET = "imagenet"  # as a starting point: what a network's authors trained
LEAST_DICE = 0.5  # dice_image below which a network knows too little to teach


class Teachers(nn.Module):
    """An ensemble of frozen networks as one teacher: the mean of their logits, the features of the first.

    Args:
        models: at least one; float32 (N, 3, H, W) in 0..1 to logits (N, 1, H, W).
        flips: average over the frame and its mirror images too.
        sha256: of the weights, as far as they come from files.
        size: pixels per side that they look at when they are asked once per frame.
    """

    def __init__(
        self, models: Sequence[nn.Module], flips: bool, sha256: Sequence[str] = (), size: int = SIZE[0]
    ) -> None:
        super().__init__()
        self.size = size
        self.sha256, self.flips = list(sha256), flips
        self.models = nn.ModuleList(models)
        self.eval().requires_grad_(False)
        self._mirrors: tuple[tuple[int, ...], ...] = ((), (3,), (2,)) if flips else ((),)

    @torch.no_grad()
    def teach(self, image: Tensor) -> Teaching:
        """The teachers' outputs for ``image``, without gradients."""
        logits, features = self.models[0](image, return_features=True)
        rest = [
            torch.flip(model(torch.flip(image, mirror)), mirror) if mirror else model(image)
            for index, model in enumerate(self.models)
            for mirror in self._mirrors
            if index or mirror
        ]
        return Teaching(torch.stack([logits, *rest]).mean(0), features)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, 1, H, W)."""
        return self.teach(image).logits

    @torch.no_grad()
    def predict(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean logits (N, 1, H, W), and mean logits (N,) that the frames show a polyp at all."""
        logits, presence = [], []
        for model in self.models:
            for mirror in self._mirrors:
                found, present = predict(model, torch.flip(image, mirror))
                logits.append(torch.flip(found, mirror))
                presence.append(present)
        return torch.stack(logits).mean(0), torch.stack(presence).mean(0)


def load(distillation: Distillation, recipe: Recipe, validation: Sequence[ListedFrame]) -> Teachers:
    """The recipe's teachers, loaded and frozen.

    Raises:
        InputError: none is named, weights are missing, without a card or do not fit their network, they were
            made for another size, a teacher has seen frames that the student is validated or reported on, or
            has no stage features.
    """
    if not distillation.teachers:
        raise InputError(
            "distillation.teachers is empty: name weights, or leave distillation out of the recipe"
        )
    checkpoints = [_source_weights("teacher", name, recipe, validation) for name in distillation.teachers]
    for name, teacher in zip(distillation.teachers, checkpoints, strict=True):
        if not foreign.has_features(teacher.model):
            raise InputError(
                f"teacher {name} has no stage features (return_features=True), which distillation needs: "
                "choose another"
            )
    teachers = Teachers(
        [teacher.model for teacher in checkpoints],
        distillation.flips,
        [teacher.sha256 for teacher in checkpoints],
        max(teacher.size[0] for teacher in checkpoints),
    )
    teachers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return teachers


def starting_point(recipe: Recipe, validation: Sequence[ListedFrame]) -> nn.Module:
    """The network that the recipe continues from.

    Raises:
        InputError: the weights are missing, of another architecture, or as for a teacher in :func:`load`.
    """
    assert recipe.initial is not None  # else there is nothing to go on from
    if recipe.initial == IMAGENET:
        return _pretrained(recipe.architecture)
    found = _source_weights("initial", recipe.initial, recipe, validation, _given(recipe))
    if found.architecture != recipe.architecture:
        raise InputError(
            f"initial {recipe.initial} is of the architecture {found.architecture!r}, the recipe of "
            f"{recipe.architecture!r}: choose weights of the same, or set architecture={found.architecture}"
        )
    return found.model


def _given(recipe: Recipe) -> str | None:
    """The network of the recipe's starting point, if the recipe gives the path to its code."""
    return recipe.architecture if foreign.is_path(recipe.architecture) else None


def _pretrained(architecture: str) -> nn.Module:
    model = create(architecture)
    if not isinstance(model, LiteTeacher):
        raise InputError(
            f"initial {IMAGENET}: there are no ImageNet weights for {architecture!r}; they are for lite"
        )
    model.load_pretrained()
    return model


def _source_weights(
    role: str, name: str, recipe: Recipe, validation: Sequence[ListedFrame], network: str | None = None
) -> Checkpoint:
    """Weights that a student may learn from: of its size, and none of its held-out frames seen."""
    found = checkpoint.load(name, network)
    cached = recipe.distillation is not None and recipe.distillation.cached
    if found.size != (recipe.size, recipe.size) and not (role == "teacher" and cached):
        raise InputError(
            f"{role} {name} was trained at {found.size[0]} pixels, the recipe is for {recipe.size}: "
            "train it at the same size"
        )
    trained_on = _lists(found)
    if seen := _images(trained_on) & _held_out(recipe, validation):
        raise InputError(
            f"{role} {name} was trained on {len(seen)} frames that this recipe keeps for validation or "
            "test, and the student would learn of them: train it on the recipe's own lists, or leave it out "
            f"(--set {'initial' if role == 'initial' else 'distillation'}=null)"
        )
    if bool(recipe.train) != all(each in lists.names() for each in trained_on):
        console.err.print(
            f"note: {role} {name} was trained on {', '.join(trained_on)}, which cannot be compared with the "
            "frames held out here: if it saw them, the figures are too good",
            markup=False,
        )
    return found


def measure(teachers: Teachers, validation: Validation) -> float:
    """The ensemble's mean dice_image: a teacher no better than its student teaches little.

    Raises:
        InputError: it is below ``LEAST_DICE``: untrained, or trained for something else.
    """
    mean = float(validation.scores(teachers).dice.mean())
    if mean < LEAST_DICE:
        raise InputError(
            f"the teachers reach a dice_image of {mean:.3f}, expected at least {LEAST_DICE}: "
            "untrained, or trained for other data; name others, or learn without (--set distillation=null)"
        )
    return mean


def learned_from(recipe: Recipe) -> list[str]:
    """The data lists that the recipe's teachers and starting point were trained on, and theirs."""
    sources = (
        [checkpoint.load(recipe.initial, _given(recipe))] if recipe.initial not in (None, IMAGENET) else []
    )
    sources += map(checkpoint.load, recipe.distillation.teachers if recipe.distillation else ())
    return sorted({name for source in sources for name in _lists(source)})


def _lists(found: Checkpoint) -> list[str]:
    """The data lists in a card: its own training data, and those of the weights that it learned from.

    Raises:
        InputError: there is no card that says so.
    """
    names = found.card.get("data", {}).get("lists", {})
    if "train" not in names:
        raise InputError(f"{found.name} has no card that says what it was trained on: train it here")
    return [*found.trained_on, *names.get("learned_from", [])]


def _held_out(recipe: Recipe, validation: Sequence[ListedFrame]) -> set[str]:
    """Hashes of the validation images and of the test lists that belong to the recipe's lists."""
    validated = (*recipe.validation, *recipe.polyp_free_validation)
    learned = (*recipe.train, *recipe.unlabelled, *recipe.polyp_free)
    families = {name.rpartition("-")[0] for name in (*learned, *validated)}
    tests = [name for name in lists.names() if name.removesuffix("-test") in families]
    # Of the lists and of the files: another copy of a data set has other bytes.
    return {frame.image_sha256 for frame in validation} | _images([*tests, *validated])


def _images(names: Sequence[str]) -> set[str]:
    """Hashes of the images in the committed ones among ``names``."""
    return {
        entry["image_sha256"] for name in names if name in lists.names() for entry in lists.read_list(name)
    }
