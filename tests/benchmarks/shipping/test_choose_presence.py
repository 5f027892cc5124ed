"""The operating points that are written into a card, on cases that can be counted by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from benchmarks.shipping.choose_presence import CLEAN, CLEAN_PER_SOURCE, level, operating_point
from microaunet_runtime.errors import InputError
from microaunet_runtime.evaluation.operating_point import SeenFrame, presence_summary
from microaunet_runtime.inference.session import Session


def frames(count: int, highest: float) -> list[SeenFrame]:
    """Polyp-free frames whose presence is spread evenly up to ``highest``."""
    return [SeenFrame(highest * (k + 1) / count, 0.1) for k in range(count)]


def test_most_frames_of_all_and_of_the_worst_source_are_kept_clean() -> None:
    quiet, loud = frames(400, 0.2), frames(100, 0.8)
    point = operating_point({"quiet": quiet, "loud": loud})
    for some, share in ((quiet + loud, CLEAN), (loud, CLEAN_PER_SOURCE)):
        assert presence_summary(some, point)["polyp_free"]["specificity"]["mean"] >= share
    assert presence_summary(loud, point - 1e-3)["polyp_free"]["specificity"]["mean"] < CLEAN_PER_SOURCE


def test_a_handful_of_frames_does_not_decide() -> None:
    everything = {"many": frames(2000, 0.2), "few": frames(9, 0.9)}
    assert operating_point(everything) < 0.2


def test_weights_that_are_sure_of_everything_have_no_operating_point() -> None:
    with pytest.raises(InputError, match="train longer"):
        operating_point({"sure": [SeenFrame(1.0, 0.1)] * 60})


def test_a_scene_reaches_what_two_frames_in_a_row_reach() -> None:
    said = iter([0.9, 0.1, 0.5, 0.6, 0.2] + [0.0] * 20)
    session = cast(Session, SimpleNamespace(see=lambda frame: (frame, next(said))))
    image = np.zeros((64, 64, 3), np.uint8)
    assert level(session, image, np.random.default_rng(0)) == 0.5
