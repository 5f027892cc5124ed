"""A recipe: every setting of a training run, as one YAML file with exactly the fields below."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from microaunet_runtime.errors import InputError

from ..data.augment import Augmentation
from ..limits import within
from .plain_yaml import parse

MOST_NUMBER = 1e12  # a number beyond it is a slip, or meant to break something
PRECISIONS = ("32-true", "16-mixed", "bf16-mixed")


@dataclass(frozen=True)
class LossWeights:
    """Weights of the supervised terms, and how the boundary is weighted."""

    bce: float = 1.0
    dice: float = 1.0
    presence: float = (
        0.0  # of the cross-entropy of "this frame shows a polyp"; networks with a presence head only
    )
    agreement: float = 0.0  # of what INT8's mask and that of the same weights in float differ in; int8 only
    boundary: float = 1.0  # extra weight of the pixels near the mask's edge in BCE, beside 1 elsewhere
    boundary_width: int = 15  # pixels at 256, odd: the window that says what "near" is

    def __post_init__(self) -> None:
        within(self, "loss", 0, math.inf, "bce", "dice", "presence", "agreement", "boundary")
        within(self, "loss", 1, 255, "boundary_width")


@dataclass(frozen=True)
class Distillation:
    """Imitation of the teachers first, then preference alignment, with a smooth hand-over between them."""

    teachers: tuple[str, ...]  # weights by name or path; several are an ensemble
    flips: bool = False  # average each teacher over the mirrored frame too
    cached: bool = (
        False  # ask the teachers once per frame and keep what they say, not once per augmented view
    )
    temperature: float = 2.0
    imitation: float = 1.0  # weight of the pixel term
    features: float = 0.1  # weight of the stage-feature term
    preference: float = 0.1
    embedding: int = 16  # channels of the pixel embedding
    confidence: float = 0.9  # a teacher's pixel is a positive above it, when correct
    doubt: float = 0.7  # and a negative below it
    hand_over: tuple[float, float] = (0.5, 0.7)  # shares of the epochs between which stage 2 takes over
    imitation_after: float = 0.5  # what is left of stage 1 after the hand-over

    def __post_init__(self) -> None:
        within(self, "distillation", 0.01, 1000, "temperature")
        within(self, "distillation", 0, math.inf, "imitation", "features", "preference", "imitation_after")
        within(self, "distillation", 1, 1024, "embedding")
        within(self, "distillation", 0.5, 1, "confidence", "doubt")
        if not 0 <= self.hand_over[0] <= self.hand_over[1] <= 1:
            raise InputError(
                f"distillation: hand_over is {self.hand_over}, expected rising shares from 0 to 1"
            )
        if self.cached and self.features:
            raise InputError("distillation: cached teachers keep no stage features: set features to 0")


@dataclass(frozen=True)
class Recipe:
    """All settings of one run."""

    architecture: str
    train: tuple[str, ...]  # committed data lists
    validation: tuple[str, ...]
    unlabelled: tuple[str, ...] = ()  # lists or folders of frames whose masks are not used, if there are any
    polyp_free: tuple[str, ...] = ()  # lists or folders of frames that show no polyp
    polyp_free_validation: tuple[str, ...] = ()
    polyp_free_share: float = 0.25  # of an epoch's frames, where the recipe names polyp-free ones
    size: int = 256  # pixels per side that the network is made for
    stored_size: int = 320  # pixels per side in the cache: a little more, for zooming in
    resolutions: tuple[tuple[float, int], ...] = ((0.0, 256),)  # from this share of the epochs on, this size
    epochs: int = 200
    batch: int = 16
    learning_rate: float = 5e-3  # at the peak of the one-cycle schedule
    warm_up: float = 0.15  # share of the steps until the peak
    weight_decay: float = 1e-2
    gradient_clip: float = 1.0  # norm; 0 switches it off
    ema_decay: float = 0.998  # per step
    validate_every: int = 5  # epochs
    precision: str = "32-true"
    seed: int = 0
    initial: str | None = None  # weights to go on from, by name or path, or "imagenet"; else fresh parameters
    int8: bool = False  # simulate INT8's rounding: fine-tunes ``initial`` for quantised export
    int8_in_float: tuple[str, ...] = ()  # paths of convolutions that INT8 leaves alone, as it harms them most
    loss: LossWeights = field(default_factory=LossWeights)
    augmentation: Augmentation = field(default_factory=Augmentation)
    distillation: Distillation | None = None

    def __post_init__(self) -> None:
        within(self, "recipe", 1, math.inf, "epochs", "batch", "validate_every")
        within(self, "recipe", 32, 8192, "size", "stored_size")
        within(self, "recipe", 1e-12, math.inf, "learning_rate")
        within(self, "recipe", 0, math.inf, "weight_decay", "gradient_clip")
        within(self, "recipe", 0, 2**32, "seed")
        within(self, "recipe", 0, 0.95, "polyp_free_share")
        if not 0 <= self.ema_decay < 1 or not 0 < self.warm_up < 1:
            raise InputError("recipe: expected 0 <= ema_decay < 1 and 0 < warm_up < 1")
        if self.precision not in PRECISIONS:
            raise InputError(f"recipe: precision {self.precision!r} is none of {', '.join(PRECISIONS)}")
        if self.int8 and (self.initial is None or self.precision != "32-true"):
            raise InputError("recipe: int8 fine-tunes weights: name them as initial, with precision 32-true")
        starts = [start for start, _ in self.resolutions]
        if not starts or starts[0] != 0 or starts != sorted(starts) or starts[-1] >= 1:
            raise InputError(
                "recipe: resolutions must be [[0.0, SIZE], [SHARE, SIZE], ...] with rising shares below 1"
            )
        if any(size <= 0 or size % 32 for size in (self.size, *(size for _, size in self.resolutions))):
            raise InputError("recipe: size and all resolutions must be multiples of 32")

    def size_at(self, epoch: int) -> int:
        """The side of the training batches in ``epoch`` (from 0)."""
        return [size for start, size in self.resolutions if epoch >= start * self.epochs][-1]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        return typing.cast("dict[str, Any]", _plain(dataclasses.asdict(self)))


def names() -> list[str]:
    """The recipes that ship."""
    folder = resources.files("microaunet.training") / "recipes"
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def load(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A shipped recipe by name, or a YAML file.

    Args:
        name: of a shipped recipe, else a path.
        changes: ``key=value`` each, value in YAML; a dot reaches into a group (``loss.dice=2``).

    Raises:
        InputError: no such recipe, not YAML, or a field that is unknown, missing or of another type.
    """
    if name in names():
        text = (resources.files("microaunet.training") / "recipes" / f"{name}.yaml").read_text(
            encoding="utf-8"
        )
    elif Path(name).is_file():
        try:
            text = Path(name).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{name} is not a recipe: it is not text") from error
    else:
        raise InputError(f"{name!r} is neither a file nor a shipped recipe ({', '.join(names())})")
    content = parse(text, name)
    if not isinstance(content, dict):
        raise InputError(f"{name} is not a recipe: expected fields and values")
    for change in changes:
        _apply(content, change)
    return from_dict(content)


def from_dict(content: dict[str, Any]) -> Recipe:
    """A recipe from plain values.

    Raises:
        InputError: a field is unknown, missing or of another type.
    """
    return typing.cast(Recipe, _convert(Recipe, content, "recipe"))


def dump(recipe: Recipe) -> str:
    """The YAML text that :func:`load` reads back as ``recipe``."""
    return yaml.safe_dump(recipe.as_dict(), sort_keys=False)


def _apply(content: dict[str, Any], change: str) -> None:
    key, separator, value = change.partition("=")
    if not separator:
        raise InputError(f"--set {change!r}: expected key=value")
    *groups, last = key.strip().split(".")
    for group in groups:
        if content.get(group) is None:  # left out, or switched off before
            content[group] = {}
        content = content[group]
        if not isinstance(content, dict):
            raise InputError(f"--set {change!r}: {group} is not a group of fields")
    content[last] = parse(value, f"--set {change!r}")


def _convert(kind: Any, value: Any, name: str) -> Any:
    """``value`` as ``kind``: a dataclass from a mapping, a tuple from a list, a number or text as it is."""
    if isinstance(kind, types.UnionType):
        return None if value is None else _convert(typing.get_args(kind)[0], value, name)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise InputError(f"{name}: expected a group of fields, got {value!r}")
        hints = typing.get_type_hints(kind)
        if unknown := sorted(set(value) - set(hints), key=str):
            raise InputError(f"{name}: no field {unknown[0]!r}; the fields are {', '.join(hints)}")
        converted = {key: _convert(hints[key], item, f"{name}.{key}") for key, item in value.items()}
        try:
            return typing.cast(Any, kind)(**converted)
        except TypeError as error:
            required = [f.name for f in dataclasses.fields(kind) if f.default is f.default_factory]
            missing = ", ".join(key for key in required if key not in value)
            raise InputError(f"{name}: missing {missing}") from error
    if typing.get_origin(kind) is tuple:
        parts = typing.get_args(kind)
        if isinstance(value, str) or not isinstance(value, list | tuple):
            raise InputError(f"{name}: expected a list, got {value!r}")
        if parts[-1] is not Ellipsis and len(parts) != len(value):
            raise InputError(f"{name}: expected {len(parts)} values, got {value!r}")
        expected = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        return tuple(_convert(part, item, name) for part, item in zip(expected, value, strict=True))
    return _scalar(kind, value, name)


def _scalar(kind: Any, value: Any, name: str) -> Any:
    if kind is float and isinstance(value, str):  # YAML 1.1 reads 5e-3 as text
        try:
            value = float(value)
        except ValueError:
            raise InputError(f"{name}: expected a number, got {value!r}") from None
    if kind in (int, float) and isinstance(value, (int, float)) and abs(value) >= MOST_NUMBER:
        raise InputError(f"{name}: expected a number below {MOST_NUMBER:g}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise InputError(f"{name}: expected {kind.__name__}, got {value!r}")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
