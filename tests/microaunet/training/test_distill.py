"""Each distillation term: its value by hand, its gradient, and that it falls towards the teacher."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from microaunet.models import create
from microaunet.training.distill import (
    SHARPNESS,
    Distilled,
    Teaching,
    alignment,
    feature_shapes,
    imitation,
    match,
    preference,
    shares,
)
from microaunet.training.recipe import Distillation, LossWeights


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_imitation_is_the_bernoulli_divergence_of_softened_pixels() -> None:
    teacher, student, temperature = logit(0.9), logit(0.2), 2.0
    p = 1 / (1 + math.exp(-teacher / temperature))
    q = 1 / (1 + math.exp(-student / temperature))
    expected = (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))) * temperature**2
    found = imitation(torch.full((1, 1, 2, 2), student), torch.full((1, 1, 2, 2), teacher), temperature)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_imitation_of_oneself_is_zero_even_where_one_is_sure() -> None:
    logits = torch.tensor([-80.0, -1.0, 0.0, 80.0]).view(1, 1, 2, 2)
    assert imitation(logits, logits, 2.0).item() == pytest.approx(0, abs=1e-6)


def test_alignment_is_the_mean_of_one_minus_cosine() -> None:
    mine = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).T.view(1, 2, 1, 2)  # positions (1, 0) and (1, 1)
    theirs = torch.tensor([[0.0, 2.0], [3.0, 3.0]]).T.view(1, 2, 1, 2)  # at 90 degrees, and parallel
    assert alignment([mine], [theirs]).item() == pytest.approx(0.5)
    assert alignment([mine, mine], [mine, theirs]).item() == pytest.approx(0.25)


def test_alignment_pools_a_finer_teacher() -> None:
    mine = torch.ones(1, 3, 2, 2)
    theirs = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pooled = theirs.view(1, 3, 2, 4, 2, 4).mean((3, 5))
    assert alignment([mine], [theirs]).item() == pytest.approx(alignment([mine], [pooled]).item(), abs=1e-6)


def tiny_preference(embedding: Tensor, weight: Tensor | None = None) -> Tensor:
    """Four pixels: a sure polyp, a sure background, a doubtful polyp, a sure mistake."""
    teacher = torch.tensor([0.95, 0.05, 0.55, 0.97]).view(1, 1, 2, 2)
    mask = torch.tensor([1.0, 0.0, 1.0, 0.0]).view(1, 1, 2, 2)
    weight = torch.ones(1, 1, 2, 2) if weight is None else weight
    return preference(embedding, teacher, mask, weight, confidence=0.9, doubt=0.7)


def pixels(*vectors: tuple[float, float]) -> Tensor:
    return torch.tensor(vectors).T.reshape(1, 2, 2, 2)


def test_preference_matches_a_case_worked_out_by_hand() -> None:
    # Polyp (1, 0), background (0, 1), doubt (0, -1); the mistake takes no part, wherever it lies.
    embedding = pixels((2.0, 0.0), (0.0, 1.0), (0.0, -3.0), (1.0, 1.0))
    own, right_angle, opposite = (math.exp(cosine / SHARPNESS) for cosine in (1, 0, -1))
    polyp = -math.log(own / (own + right_angle + right_angle))
    background = -math.log(own / (own + right_angle + opposite))
    assert tiny_preference(embedding).item() == pytest.approx((polyp + background) / 2, rel=1e-3)
    weight = torch.tensor([3.0, 1.0, 1.0, 1.0]).view(1, 1, 2, 2)
    assert tiny_preference(embedding, weight).item() == pytest.approx((3 * polyp + background) / 4, rel=1e-3)


def test_preference_is_larger_where_a_positive_resembles_the_doubtful() -> None:
    apart = pixels((1.0, 0.0), (0.0, 1.0), (0.0, -1.0), (0.0, 0.0))
    mixed = pixels((1.0, 0.0), (0.0, 1.0), (1.0, 0.1), (0.0, 0.0))
    assert tiny_preference(mixed) > tiny_preference(apart) + 0.1


def test_preference_without_positives_is_zero() -> None:
    embedding = torch.randn(1, 2, 2, 2, requires_grad=True)
    teacher = torch.full((1, 1, 2, 2), 0.6)
    value = preference(embedding, teacher, torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2), 0.9, 0.7)
    assert value.item() == 0
    value.backward()
    assert embedding.grad is not None


def test_preference_with_one_class_only_is_finite() -> None:
    embedding = torch.randn(1, 2, 2, 2, requires_grad=True)
    teacher, mask = torch.full((1, 1, 2, 2), 0.02), torch.zeros(1, 1, 2, 2)
    value = preference(embedding, teacher, mask, torch.ones(1, 1, 2, 2), 0.9, 0.7)
    value.backward()
    assert value.isfinite()
    assert embedding.grad is not None
    assert embedding.grad.isfinite().all()


TEACHER = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 4
FEATURES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("term", "channels"),
    [
        (lambda x: imitation(x, TEACHER, 2.0), 1),
        (lambda x: alignment([x], [FEATURES]), 3),
        (
            lambda x: preference(
                x, TEACHER.sigmoid(), (TEACHER > 0).float(), torch.ones_like(TEACHER), 0.9, 0.7
            ),
            3,
        ),
    ],
    ids=["imitation", "features", "preference"],
)
def test_each_term_has_a_gradient_and_falls_along_it(term: Callable[[Tensor], Tensor], channels: int) -> None:
    student = torch.randn(2, channels, 8, 8, generator=torch.Generator().manual_seed(3), requires_grad=True)
    before = term(student)
    (gradient,) = torch.autograd.grad(before, student)
    assert gradient.norm() > 1e-4
    assert term(student - 0.1 * gradient / gradient.norm()) < before


@pytest.mark.parametrize("share", [0.25, 0.75, 1.0])
def test_imitation_and_alignment_fall_when_the_student_moves_towards_the_teacher(share: float) -> None:
    start = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    moved = start + share * (TEACHER - start)
    assert imitation(moved, TEACHER, 2.0) < imitation(start, TEACHER, 2.0)
    start = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    moved = start + share * (FEATURES - start)
    assert alignment([moved], [FEATURES]) < alignment([start], [FEATURES])


def test_the_hand_over_is_smooth_and_complete() -> None:
    distillation = Distillation(teachers=(), hand_over=(0.4, 0.6), imitation_after=0.25)
    assert shares(0.0, distillation) == (1.0, 0.0)
    assert shares(0.4, distillation) == (1.0, 0.0)
    assert shares(0.5, distillation) == pytest.approx((0.625, 0.5))
    assert shares(0.6, distillation) == pytest.approx((0.25, 1.0))
    assert shares(1.0, distillation) == pytest.approx((0.25, 1.0))
    course = [shares(step / 1000, distillation)[1] for step in range(1001)]
    assert max(after - before for before, after in pairwise(course)) < 0.01


def test_stages_are_paired_by_size() -> None:
    student = [torch.Size((1, 8, side, side)) for side in (32, 16, 8)]
    teacher = [torch.Size((1, 8, side, side)) for side in (64, 32, 16, 8, 4)]
    assert match(student, teacher) == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(("student", "teacher"), [("edge", "malunet"), ("paper", "edge"), ("edge", "edge")])
def test_any_network_teaches_any_other_and_every_parameter_learns(student: str, teacher: str) -> None:
    torch.manual_seed(0)
    learner, master = create(student), create(teacher).eval()
    module = Distilled(learner, LossWeights(), Distillation(teachers=("x",)), feature_shapes(master))
    image = torch.rand(2, 3, 128, 128)
    mask = torch.zeros(2, 1, 128, 128)
    mask[:, :, 16:40, 16:40] = 1
    with torch.no_grad():
        _, features = master(image, return_features=True)
    terms = module(image, mask, torch.ones(2), 0.9, Teaching(mask * 12 - 6, features))
    assert {"loss", "bce", "dice", "imitation", "features", "preference"} == set(terms)
    terms["loss"].backward()
    assert [name for name, value in module.named_parameters() if value.grad is None] == []
    assert all(projection.weight.grad.any() for projection in [*module.projections, *module.embeddings])
