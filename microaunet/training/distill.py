"""Two-stage distillation: the student imitates its teachers, then learns which of their pixels to prefer.

Stage 1, imitation: the teachers' probability per pixel, softened by a temperature, and their stage features
through 1x1 projections. Stage 2, preference alignment: pixels that the teachers classify confidently and
correctly come together by class in an embedding, away from the other class and from the pixels that the
teachers doubt. The projections and the embedding exist in training only.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .losses import boundary_weight
from .recipe import Distillation, LossWeights
from .supervised import Supervised

PROBE_SIZE = 128  # pixels per side of the frame that reveals the stages' sizes
SHARPNESS = 0.1  # temperature of the similarities in the preference term


class Teaching(NamedTuple):  # a tuple, as mixed precision looks into what a module is called with
    """The teachers' outputs for a batch: logits (N, 1, H, W) and stage features (N, C_i, H_i, W_i)."""

    logits: Tensor
    features: list[Tensor]


def imitation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Mean Bernoulli KL from the teacher's to the student's pixels, softened, times temperature squared.

    Both are logits (N, 1, H, W). The square keeps the gradient's size when the temperature changes.
    """
    soft_teacher = teacher / temperature
    positive = torch.sigmoid(soft_teacher)
    # The cross-entropy less the teacher's own entropy, which has no gradient: cheaper than four logarithms.
    with torch.no_grad():
        entropy = F.binary_cross_entropy_with_logits(soft_teacher, positive)
    return (F.binary_cross_entropy_with_logits(student / temperature, positive) - entropy) * temperature**2


def alignment(projected: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """1 - cosine between projected student features and teacher features, over positions, then over stages.

    Args:
        projected: (N, C_i, H_i, W_i) each.
        teacher: of the same channels; averaged or repeated to the student's positions where they differ.
    """
    terms = []
    for mine, theirs in zip(projected, teacher, strict=True):
        if mine.shape[-2:] != theirs.shape[-2:]:
            theirs = F.adaptive_avg_pool2d(theirs, (mine.shape[-2], mine.shape[-1]))
        terms.append(1 - F.cosine_similarity(mine, theirs, dim=1).mean())
    return torch.stack(terms).mean()


def preference(
    embedding: Tensor, teacher: Tensor, mask: Tensor, weight: Tensor, confidence: float, doubt: float
) -> Tensor:
    """Cross-entropy of positive pixels' similarity to the classes and to the doubtful.

    Positives are pixels where the teacher is right and its confidence, the larger of p and 1 - p, is at least
    ``confidence``; negatives are those where it is at most ``doubt``. Three weighted mean embeddings stand
    for polyp, background and doubt. Nearness to the own one is consistency within the class, distance to the
    others is separation. 0 when there is no positive.

    Args:
        embedding: (N, E, h, w), of any length: directions count.
        teacher: probability (N, 1, h, w).
        mask: (N, 1, h, w); above 0.5 is polyp.
        weight: (N, 1, h, w), larger near boundaries.
    """
    vectors = F.normalize(embedding, dim=1).permute(0, 2, 3, 1).flatten(0, 2)  # (P, E)
    probability, is_polyp, weight = teacher.flatten(), mask.flatten() > 0.5, weight.flatten()
    certainty = torch.maximum(probability, 1 - probability)
    positive = (certainty >= confidence) & ((probability > 0.5) == is_polyp)
    groups = torch.stack([positive & is_polyp, positive & ~is_polyp, certainty <= doubt]).to(vectors) * weight
    centres = F.normalize(groups @ vectors, dim=1)  # (3, E)
    if not positive.any():
        return vectors.sum() * 0  # keeps every parameter in the graph, as DDP wants
    similarity = (vectors[positive] @ centres.T / SHARPNESS).masked_fill(groups.sum(1) == 0, -torch.inf)
    terms = F.cross_entropy(similarity, torch.where(is_polyp, 0, 1)[positive], reduction="none")
    return (terms * weight[positive]).sum() / weight[positive].sum()


def shares(progress: float, distillation: Distillation) -> tuple[float, float]:
    """(imitation's share, preference's share) at ``progress``, 0 to 1, of a run; a half cosine hands over."""
    start, end = distillation.hand_over
    position = min(max((progress - start) / max(end - start, 1e-6), 0.0), 1.0)
    over = (1 - math.cos(math.pi * position)) / 2
    return 1 + over * (distillation.imitation_after - 1), over


class Distilled(Supervised):
    """The student learns from masks and from teachers.

    Args:
        student: called with ``return_features=True`` it returns logits and stage features.
        weights: of the supervised terms.
        distillation: weights of the others.
        teacher_features: shapes of the teachers' stage features for a frame of ``PROBE_SIZE``.
    """

    def __init__(
        self,
        student: nn.Module,
        weights: LossWeights,
        distillation: Distillation,
        teacher_features: list[torch.Size],
    ) -> None:
        super().__init__(student, weights)
        self._distillation = distillation
        shapes = feature_shapes(student)
        self._pairs = match(shapes, teacher_features)
        # What has no weight is not made: every parameter takes part in every step, as DDP wants.
        self.projections = nn.ModuleList(
            nn.Conv2d(shapes[mine][1], teacher_features[theirs][1], 1)
            for mine, theirs in self._pairs
            if distillation.features
        )
        self.embeddings = nn.ModuleList(
            nn.Conv2d(shape[1], distillation.embedding, 1) for shape in shapes if distillation.preference
        )

    def forward(
        self,
        image: Tensor,
        mask: Tensor,
        presence: Tensor,
        progress: float,
        teaching: Teaching | None = None,
    ) -> dict[str, Tensor]:
        """As :meth:`Supervised.forward`, with ``teaching`` for this batch; adds the terms of both stages."""
        assert teaching is not None  # the loop has teachers whenever the module is this one
        logits, features = self.student(image, return_features=True)
        found = self.presence(features)
        with torch.autocast(logits.device.type, enabled=False):  # sums over pixels leave the range of halves
            terms = self.supervise(logits.float(), mask, found, presence)
            terms = self.agree(terms, logits.float(), image)
            return self._distil(
                terms, logits.float(), [f.float() for f in features], mask, progress, teaching
            )

    def _distil(
        self,
        terms: dict[str, Tensor],
        logits: Tensor,
        features: list[Tensor],
        mask: Tensor,
        progress: float,
        teaching: Teaching,
    ) -> dict[str, Tensor]:
        teaching = Teaching(teaching.logits.float(), [feature.float() for feature in teaching.features])
        distillation = self._distillation
        stage_1, stage_2 = shares(progress, distillation)
        terms["imitation"] = imitation(logits, teaching.logits, distillation.temperature)
        terms["loss"] = terms["loss"] + stage_1 * distillation.imitation * terms["imitation"]
        if self.projections:
            projected = [
                project(features[mine])
                for project, (mine, _) in zip(self.projections, self._pairs, strict=True)
            ]
            terms["features"] = alignment(projected, [teaching.features[theirs] for _, theirs in self._pairs])
            terms["loss"] = terms["loss"] + stage_1 * distillation.features * terms["features"]
        if self.embeddings:
            # Before its stage it would cost a fifth of the step for nothing; DDP wants every parameter used.
            terms["preference"] = (
                self._preference(features, teaching, mask)
                if stage_2
                else torch.stack([parameter.sum() * 0 for parameter in self.embeddings.parameters()]).sum()
            )
            terms["loss"] = terms["loss"] + stage_2 * distillation.preference * terms["preference"]
        return terms

    def _preference(self, features: list[Tensor], teaching: Teaching, mask: Tensor) -> Tensor:
        """The preference term at a quarter of the frame's size; every stage adds to the embedding."""
        grid = (mask.shape[-2] // 4, mask.shape[-1] // 4)
        embedding = sum(
            F.interpolate(embed(feature), grid, mode="bilinear", align_corners=False)
            for embed, feature in zip(self.embeddings, features, strict=True)
        )
        weight = boundary_weight(mask, self._weights.boundary, self._weights.boundary_width)
        teacher, mask, weight = (
            F.adaptive_avg_pool2d(value, grid) for value in (torch.sigmoid(teaching.logits), mask, weight)
        )
        assert isinstance(embedding, Tensor)  # a network has at least one stage
        distillation = self._distillation
        return preference(embedding, teacher, mask, weight, distillation.confidence, distillation.doubt)


@torch.no_grad()
def feature_shapes(model: nn.Module) -> list[torch.Size]:
    """The shapes of a network's stage features for one frame of ``PROBE_SIZE``."""
    training = model.training
    _, features = model.eval()(torch.zeros(1, 3, PROBE_SIZE, PROBE_SIZE), return_features=True)
    model.train(training)
    return [feature.shape for feature in features]


def match(student: list[torch.Size], teacher: list[torch.Size]) -> list[tuple[int, int]]:
    """For each student stage the teacher stage whose side is nearest: pairs of indices."""
    sides = [shape[-1] for shape in teacher]
    return [
        (mine, min(range(len(sides)), key=lambda theirs: abs(math.log(sides[theirs] / shape[-1]))))
        for mine, shape in enumerate(student)
    ]
