"""Teachers: an ensemble speaks as one, and one that cannot teach is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from microaunet import checkpoint
from microaunet.data import lists
from microaunet.models import create
from microaunet.training import recipe as recipes
from microaunet.training import teachers
from microaunet.training.recipe import Distillation, Recipe
from microaunet.training.teachers import Teachers
from microaunet.training.validation import Validation
from microaunet_runtime.errors import InputError


def weights(folder: Path, train: list[str], size: int = 256) -> str:
    path = folder / "teacher.safetensors"
    card = {"size": size, "data": {"lists": {"train": train}}}
    checkpoint.save(path, create("edge"), "edge", card)
    return str(path)


def distilling(*names: str) -> tuple[Distillation, Recipe]:
    distillation = Distillation(teachers=names)
    return distillation, dataclasses.replace(recipes.load("kvasir", ["size=256"]), distillation=distillation)


def test_an_ensemble_with_mirrors_is_the_mean_of_its_logits() -> None:
    torch.manual_seed(0)
    first, second = create("edge").eval(), create("edge").eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        alone = [model(image) for model in (first, second)]
        mirrored = [model(image.flip(axis)).flip(axis) for model in (first, second) for axis in (3, 2)]
    found = Teachers([first, second], flips=False)(image)
    torch.testing.assert_close(found, torch.stack(alone).mean(0))
    found = Teachers([first, second], flips=True)(image)
    torch.testing.assert_close(found, torch.stack([*alone, *mirrored]).mean(0))


def test_teachers_stay_as_they_are(tmp_path: Path) -> None:
    name = weights(tmp_path, ["kvasir-train"])
    found = teachers.load(*distilling(name), [])
    assert not any(parameter.requires_grad for parameter in found.parameters())
    assert not any(module.training for module in found.modules())


def test_a_missing_teacher_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nosuch\.safetensors"):
        teachers.load(*distilling(str(tmp_path / "nosuch.safetensors")), [])


def test_no_teacher_is_refused() -> None:
    with pytest.raises(InputError, match="teachers"):
        teachers.load(*distilling(), [])


def test_a_teacher_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="352"):
        teachers.load(*distilling(weights(tmp_path, ["kvasir-train"], size=352)), [])


@pytest.mark.parametrize("seen", ["kvasir-validation", "kvasir-test"])
def test_a_teacher_that_saw_held_out_frames_is_refused(tmp_path: Path, seen: str) -> None:
    validation = [
        lists.ListedFrame(Path(one["image"]), Path(one["mask"]), one["image_sha256"], one["mask_sha256"])
        for one in lists.read_list("kvasir-validation")
    ]
    with pytest.raises(InputError, match="validation or test"):
        teachers.load(*distilling(weights(tmp_path, ["kvasir-train", seen])), validation)


def test_another_copy_of_held_out_frames_is_held_out_too(tmp_path: Path) -> None:
    """Its bytes differ; the lists tell."""
    validation = [lists.ListedFrame(tmp_path / "a.png", tmp_path / "a.png", "0" * 64, "1" * 64)]
    with pytest.raises(InputError, match="validation or test"):
        teachers.load(*distilling(weights(tmp_path, ["kvasir-train", "kvasir-validation"])), validation)


def test_what_a_teacher_learned_from_counts_too(tmp_path: Path) -> None:
    first = weights(tmp_path, ["kvasir-validation"])
    recipe = dataclasses.replace(recipes.load("kvasir", ["size=256"]), distillation=None, initial=first)
    inherited = teachers.learned_from(recipe)
    assert inherited == ["kvasir-validation"]
    path = tmp_path / "second.safetensors"
    names = {"train": ["kvasir-train"], "learned_from": inherited}
    checkpoint.save(path, create("edge"), "edge", {"size": 256, "data": {"lists": names}})
    with pytest.raises(InputError, match="validation or test"):
        teachers.load(*distilling(str(path)), [])


def test_a_teacher_of_unknown_origin_is_refused_and_one_of_other_data_is_noted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = weights(tmp_path, ["my-hospital"])
    teachers.load(*distilling(name), [])
    assert "cannot be compared" in capsys.readouterr().err
    (tmp_path / "teacher.json").unlink()
    with pytest.raises(InputError, match="no card that says"):
        teachers.load(*distilling(name), [])


def test_an_untrained_teacher_is_refused(synthetic_set: Path) -> None:
    _, validation = lists.folder(synthetic_set)
    with pytest.raises(InputError, match="untrained"):
        teachers.measure(Teachers([create("edge")], flips=False), Validation(validation, 64))


def test_a_student_goes_on_from_weights(tmp_path: Path) -> None:
    name = weights(tmp_path, ["kvasir-train"])
    recipe = dataclasses.replace(recipes.load("kvasir", ["architecture=edge", "size=256"]), initial=name)
    found = teachers.starting_point(recipe, [])
    for key, value in checkpoint.load(name).model.state_dict().items():
        torch.testing.assert_close(found.state_dict()[key], value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "edge-wide"}, "of the architecture 'edge', the recipe of 'edge-wide'"),
        ({"size": 128}, "trained at 256 pixels"),
        ({"train": ("clinicdb-random-train",)}, "trained on .* frames that this recipe keeps"),
    ],
)
def test_a_starting_point_that_does_not_fit_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    name = weights(tmp_path, ["kvasir-train", "clinicdb-random-train", "clinicdb-random-test"])
    recipe = recipes.load("kvasir", ["architecture=edge", "size=256"])
    recipe = dataclasses.replace(recipe, initial=name, **changes)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=message):
        teachers.starting_point(recipe, [])
