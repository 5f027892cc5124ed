"""The training loop: one-cycle schedule, moving average, validation, a resumable state after every epoch.

Every epoch's randomness is drawn from its number (:mod:`.batches`), so a resumed run continues exactly
without the state of a random generator.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.metrics import interval

from . import curves, state
from .batches import Batches, Teach
from .ema import MovingAverage
from .pool import Pool
from .recipe import Recipe
from .supervised import Supervised
from .validation import Validation

Report = Callable[[dict[str, Any]], None]
FINAL_DIVISOR = 1e3  # the last learning rate is the first (a 25th of the peak) over this


@dataclass(frozen=True)
class TrainingOutcome:
    """The outcome of a run.

    ``dice_image`` is {mean, low, high} on validation frames, None without any. ``presence_auc`` is of their
    presence against polyp-free validation frames, None without any of these.
    """

    model: nn.Module
    epoch: int
    dice_image: dict[str, float | None] | None
    presence_auc: float | None
    images_per_second: float


class Trainer:
    """One run in the folder ``out``.

    Args:
        recipe: all settings.
        module: the student with its loss.
        pool: the training frames.
        validation: None when the recipe keeps no frames for it; the last weights are then the outcome.
        teach: from image (N, 3, H, W) to what teachers say about it; None without teachers, and when the pool
            holds what they said.
        fabric: launched.
        out: folder of the run.
        facts: what the run depends on besides the recipe, by what messages call it: only with the same it is
            resumed.
    """

    def __init__(
        self,
        recipe: Recipe,
        module: Supervised,
        pool: Pool,
        validation: Validation | None,
        teach: Teach | None,
        fabric: Fabric,
        out: Path,
        facts: dict[str, Any],
    ) -> None:
        if recipe.batch % fabric.world_size:
            raise InputError(f"batch {recipe.batch} cannot be shared by {fabric.world_size} processes")
        if pool.per_epoch < recipe.batch:
            raise InputError(
                f"{pool.per_epoch} training frames are fewer than a batch of {recipe.batch}: lower batch"
            )
        self.recipe, self.fabric, self.out = recipe, fabric, out
        self._validation = validation
        self._facts = {**facts, "processes": fabric.world_size}
        self._batches = Batches(recipe, pool, teach, fabric)
        self._steps = self._batches.steps
        # A third faster on a CPU, and what tensor cores want.
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = _optimizer(recipe, module)
        total = recipe.epochs * self._steps + 1
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            recipe.learning_rate,
            total_steps=total,
            pct_start=max(recipe.warm_up, 2 / total),  # it divides by the steps of the rise, less one
            final_div_factor=FINAL_DIVISOR,
            cycle_momentum=False,
        )
        self._bare_optimizer = optimizer
        self._module, self._optimizer = fabric.setup(module, optimizer)
        self._bare_module = module
        self._average = MovingAverage(module.student, recipe.ema_decay)
        self._rows: list[curves.Row] = []
        self._best: dict[str, Any] | None = None

    def resume(self) -> int:
        """Restore the state in the run's folder and return the number of epochs that are done.

        Raises:
            InputError: there is no state, it is damaged, or recipe or facts have changed.
        """
        saved = state.load(self.out, self.recipe.as_dict(), self._facts)
        self._bare_module.load_state_dict(saved["module"])
        self._average.model.load_state_dict(saved["average"])
        self._bare_optimizer.load_state_dict(saved["optimizer"])
        self._schedule.load_state_dict(saved["schedule"])
        self.fabric.strategy.precision.load_state_dict(saved["precision"])
        self._rows, self._best = saved["rows"], saved["best"]
        return len(self._rows)

    def _save(self) -> None:
        state.save(
            self.out,
            {
                "recipe": self.recipe.as_dict(),
                "facts": self._facts,
                "module": self._bare_module.state_dict(),
                "average": self._average.model.state_dict(),
                "optimizer": self._bare_optimizer.state_dict(),
                "schedule": self._schedule.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
                "rows": self._rows,
                "best": self._best,
            },
        )

    def run(self, report: Report, resumed: bool = False) -> TrainingOutcome:
        """Train to the end. ``report`` gets every epoch's row, on the first process only.

        Raises:
            InputError: the loss is no longer finite; or as :meth:`resume`.
        """
        done = self.resume() if resumed else 0
        for epoch in range(done, self.recipe.epochs):
            started = time.perf_counter()
            size = self.recipe.size_at(epoch)
            row: curves.Row = {
                "epoch": epoch + 1,
                "size": size,
                "learning_rate": self._schedule.get_last_lr()[0],
            }
            row |= self._epoch(epoch, size)
            row["seconds"] = time.perf_counter() - started
            if self.fabric.is_global_zero:
                self._finish(row, report)
            self.fabric.barrier()
        if self.fabric.is_global_zero:
            curves.write(self.out, self._rows)  # again, as a run may have been ended just before
        return self._outcome()

    def _finish(self, row: curves.Row, report: Report) -> None:
        epoch = row["epoch"]
        last = epoch == self.recipe.epochs
        validates = last or epoch % self.recipe.validate_every == 0
        if validates and self._validation:
            scores = self._validation.scores(self._average.model)
            row["dice_image"] = float(scores.dice.mean())
            if scores.presence_auc is not None:
                row["presence_auc"] = scores.presence_auc
            if scores.agreement is not None:
                row["agreement"] = scores.agreement
            if self._best is None or scores.choice >= self._best["choice"]:
                self._best = {
                    "epoch": epoch,
                    "choice": scores.choice,
                    "dice_image": interval(scores.dice),
                    "presence_auc": scores.presence_auc,
                    "weights": {
                        name: value.clone() for name, value in self._average.model.state_dict().items()
                    },
                }
        self._rows.append(row)
        self._save()
        if validates:
            curves.write(self.out, self._rows)
        report(row)

    def _epoch(self, epoch: int, size: int) -> dict[str, float]:
        """Train one epoch and return the mean of each term over its steps."""
        self._bare_module.train()
        totals: dict[str, Tensor] = {}
        for index, batch in enumerate(self._batches.of_epoch(epoch, size)):
            progress = (epoch + index / self._steps) / self.recipe.epochs
            terms = self._module(batch.image, batch.mask, batch.presence, progress, batch.teaching)
            self.fabric.backward(terms["loss"])
            if self.recipe.gradient_clip:
                self.fabric.clip_gradients(
                    self._module,
                    self._optimizer,
                    max_norm=self.recipe.gradient_clip,
                    error_if_nonfinite=False,
                )
            self._optimizer.step()
            self._schedule.step()
            self._optimizer.zero_grad()
            self._average.update(epoch * self._steps + index + 1)
            for name, term in terms.items():
                totals[name] = totals.get(name, 0) + term.detach()
        means = {name: self._mean(total) / self._steps for name, total in totals.items()}
        if not math.isfinite(means["loss"]):
            raise InputError(
                f"the loss of epoch {epoch + 1} is not finite: start again in another --out with a lower "
                "learning_rate, or with precision 32-true"
            )
        return means

    def _mean(self, value: Tensor) -> float:
        """The mean over the processes."""
        reduced = self.fabric.all_reduce(value)
        assert isinstance(reduced, Tensor)  # as a tensor went in
        return reduced.item()

    def _outcome(self) -> TrainingOutcome:
        model = self._average.model
        best = self._best
        if best is not None:
            model.load_state_dict(best["weights"])
        seconds = sum(row["seconds"] for row in self._rows)
        images = len(self._rows) * self._steps * self.recipe.batch
        return TrainingOutcome(
            model,
            best["epoch"] if best else self.recipe.epochs,
            best["dice_image"] if best else None,
            best["presence_auc"] if best else None,
            images / seconds if seconds else 0.0,
        )


def _optimizer(recipe: Recipe, module: nn.Module) -> torch.optim.AdamW:
    """AdamW; norms and biases are not decayed."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # Fused steps cannot be combined with the gradient scaling of 16-mixed.
    return torch.optim.AdamW(groups, recipe.learning_rate, fused=recipe.precision != "16-mixed")
