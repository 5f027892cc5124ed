"""Tolerances: how far an artefact may be from the PyTorch reference. The manifest holds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tolerance:
    """The limits of one precision; None stands for no limit.

    Attributes:
        mask_agreement: least mean Dice of the masks with the reference's.
        presence_difference: greatest difference of a presence.
        max_abs_difference: greatest difference of a probability on the CPU.
        max_abs_difference_gpu: the same on a GPU, which adds up in another order and has faster exponentials.
        dice_image_change: greatest mean change of dice_image, either way: a gain that nothing explains is as
            suspicious as a loss.
    """

    mask_agreement: float
    presence_difference: float
    max_abs_difference: float | None = None
    max_abs_difference_gpu: float | None = None
    dice_image_change: float | None = None

    def shortfalls(
        self,
        mask_agreement: float,
        max_abs_difference: float,
        presence_difference: float,
        dice_image_change: float | None = None,
        *,
        gpu: bool = False,
    ) -> list[str]:
        """The limits that are exceeded, one phrase each; NaN exceeds every limit.

        Args:
            mask_agreement: mean over frames.
            dice_image_change: mean over images; None where there was no ground truth.
        """
        found = []
        if not mask_agreement >= self.mask_agreement:
            found.append(f"mask agreement {mask_agreement:.4f} is below {self.mask_agreement:g}")
        limit = self.difference_limit(gpu=gpu)
        if limit is not None and not max_abs_difference <= limit:
            found.append(f"a probability differs by {max_abs_difference:.2g}, more than {limit:g}")
        if not presence_difference <= self.presence_difference:
            found.append(
                f"a presence differs by {presence_difference:.2g}, more than {self.presence_difference:g}"
            )
        limit = self.dice_image_change
        if limit is not None and dice_image_change is not None and not abs(dice_image_change) <= limit:
            found.append(f"mean change of dice_image {dice_image_change:+.4f} is outside +-{limit:g}")
        return found

    def difference_limit(self, *, gpu: bool) -> float | None:
        """The greatest difference of a probability where the artefact runs."""
        return self.max_abs_difference_gpu if gpu else self.max_abs_difference
