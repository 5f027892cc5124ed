"""From a request to a finished run: frames, network, loop, weights with their card."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning_fabric
import numpy as np
import torch
from torch import Tensor

from microaunet_runtime import console, files
from microaunet_runtime.errors import InputError
from microaunet_runtime.images.resize import resize_frame

from .. import checkpoint
from ..data import cache
from ..models import create, foreign, parameters
from ..quantisation.simulated import SimulatedInt8
from . import recipe as recipes
from . import teachers as teaching
from .allocator import keep_freed_memory
from .distill import Distilled, feature_shapes
from .frames import Frames, find_frames
from .labels import open_labels
from .loop import Trainer, TrainingOutcome
from .pool import Pool
from .recipe import Recipe
from .supervised import Supervised
from .teachers import Teachers
from .validation import Validation

OBSERVED_FRAMES = 64
MEASURED_FRAMES = 40  # training frames that teachers are measured on when none are kept for validation
LOCK = ".microaunet"  # in the folder of a run, held while it is trained


@dataclass(frozen=True)
class TrainingRequest:
    """The options of ``microaunet-train``, in the command's order."""

    recipe: str
    changes: Sequence[str]
    data: Path
    out: Path
    resume: bool
    device: str
    devices: int
    threads: int
    cache: Path | None


def run(request: TrainingRequest, report: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
    """The results of a training run, as ``--json`` holds them; None on all processes but the first.

    Raises:
        InputError: the recipe, the data or the folder cannot be used, or the loss is no longer finite.
    """
    recipe = recipes.load(request.recipe, request.changes)
    recipe, data = find_frames(recipe, request.data)
    # Before there are other processes: a frame that cannot be read is one error, and the cache is theirs too.
    folder = request.cache or cache.default_folder()
    stored = cache.open_frames(data.shown, recipe.stored_size, folder)
    fabric = _fabric(request, recipe)
    if data.differing and fabric.is_global_zero:
        console.err.print(
            f"note: {data.differing} frames differ from the committed lists (another copy of the data set?): "
            "figures are not exactly comparable"
        )
    validation = (
        Validation(data.validation, recipe.size, data.polyp_free_validation) if data.validation else None
    )
    torch.manual_seed(recipe.seed)
    module, teachers = _networks(recipe, data, validation, fabric)
    asked_once = teachers is not None and recipe.distillation is not None and recipe.distillation.cached
    labels = (
        open_labels(teachers, data.shown, stored, len(data.polyp_free), folder)
        if teachers and asked_once
        else None
    )
    pool = Pool(stored, len(data.unlabelled), len(data.polyp_free), recipe.polyp_free_share, labels)
    # Now: when the run ends, the teachers' files may be others.
    data = replace(data, lists={**data.lists, "learned_from": teaching.learned_from(recipe)})
    trainer = Trainer(
        recipe,
        module,
        pool,
        validation,
        teachers.teach if teachers and not asked_once else None,
        fabric,
        request.out,
        {"frames": data.fingerprint, "teachers": teachers.sha256 if teachers else []},
    )
    busy = f"another training writes to {request.out}: wait for its end, or choose another --out"
    with files.locked(request.out / LOCK, busy) if fabric.is_global_zero else nullcontext():
        if fabric.is_global_zero and not request.resume:
            files.write_bytes(request.out / "recipe.yaml", recipes.dump(recipe).encode())
        with console.progress() as progress:
            task = progress.add_task("epochs", total=recipe.epochs)

            def advance(row: dict[str, Any]) -> None:
                progress.update(task, completed=row["epoch"])
                report(row)

            outcome = trainer.run(advance, request.resume)
        if not fabric.is_global_zero:
            return None
        return _write(request.out, recipe, data, outcome)


def _networks(
    recipe: Recipe, data: Frames, validation: Validation | None, fabric: lightning_fabric.Fabric
) -> tuple[Supervised, Teachers | None]:
    """The student with its loss, and its teachers when the recipe distils."""
    student = create(recipe.architecture)
    foreign.check(student, recipe.architecture, recipe.size, recipe.size)
    if recipe.initial:
        student = teaching.starting_point(recipe, data.held_out).requires_grad_(True)
    if recipe.int8:
        student = SimulatedInt8(student, _observed(data, recipe.size), recipe.int8_in_float)
    distillation = recipe.distillation
    if distillation is None:
        return Supervised(student, recipe.loss), None
    if not foreign.has_features(student):
        raise InputError(
            f"the network {recipe.architecture} has no stage features (return_features=True), which "
            "distillation needs: learn from masks alone with --set distillation=null"
        )
    teachers = teaching.load(distillation, recipe, data.held_out)
    shapes = feature_shapes(teachers.models[0])
    teachers.to(fabric.device)
    frames, name = (validation, "validation")
    if frames is None:
        frames, name = Validation(data.train[:MEASURED_FRAMES], recipe.size), "training"
    mean = teaching.measure(teachers, frames)
    if fabric.is_global_zero:
        console.out.print(f"teachers: {name} dice_image {mean:.4f}")
    return Distilled(student, recipe.loss, distillation, shapes), teachers


def _observed(data: Frames, size: int) -> Tensor:
    """Evenly spaced training frames, float32 (N, 3, S, S), by which INT8's steps are chosen."""
    spaced = np.linspace(0, len(data.train) - 1, min(OBSERVED_FRAMES, len(data.train)))
    frames = [cache.load(data.train[round(index)])[0] for index in spaced]
    images = np.stack([resize_frame(frame, size, size) for frame in frames])
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def _fabric(request: TrainingRequest, recipe: Recipe) -> lightning_fabric.Fabric:
    keep_freed_memory()
    torch.set_num_threads(request.threads)
    torch.set_flush_denormal(True)  # vanishing activations would slow a CPU tenfold
    if request.device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device {request.device!r}: expected auto, cpu or cuda")
    if request.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "--device cuda: PyTorch sees no CUDA GPU; install its CUDA build or use --device cpu"
        )
    gpus = torch.cuda.device_count() if request.device != "cpu" else 0
    if gpus and request.devices > gpus:
        raise InputError(f"--devices {request.devices}: there are {gpus} GPUs; ask for as many or fewer")
    fabric = lightning_fabric.Fabric(
        accelerator=request.device,
        devices=request.devices,
        strategy="ddp" if request.devices > 1 else "auto",
        precision=recipe.precision,  # type: ignore[arg-type]
    )
    fabric.launch()
    return fabric


def _write(out: Path, recipe: Recipe, data: Frames, outcome: TrainingOutcome) -> dict[str, Any]:
    """Write the weights with their card; return the results."""
    path, network = out / "weights.safetensors", outcome.model
    quantised: dict[str, Any] = {}
    if isinstance(network, SimulatedInt8):
        network.settle()
        quantised, network = {"int8": network.facts()}, network.network
    figures: dict[str, Any] = {"dice_image": outcome.dice_image, "epoch": outcome.epoch}
    if outcome.presence_auc is not None:
        figures["presence_auc"] = outcome.presence_auc
    card = {
        "size": recipe.size,
        "parameters": parameters(network),
        "recipe": recipe.as_dict(),
        "data": {
            "lists": data.lists,
            "train_frames": len(data.train),
            "unlabelled_frames": len(data.unlabelled),
            "polyp_free_frames": len(data.polyp_free),
            "validation_frames": len(data.validation),
            "fingerprint": data.fingerprint,
        },
        "figures": {"validation": figures},
        "licence": data.licence,
        "made_with": {"python": platform.python_version(), "torch": torch.__version__},
        **quantised,
    }
    checkpoint.save(path, network, recipe.architecture, card)
    return {
        "weights": str(path),
        "sha256": files.sha256(path),
        **figures,
        "epochs": recipe.epochs,
        "images_per_second": outcome.images_per_second,
    }
