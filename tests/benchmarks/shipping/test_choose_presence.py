"""The presence that is written into a card is the one that the stabiliser goes by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np

from benchmarks.shipping.choose_presence import level
from microaunet_runtime.inference.session import Session


def test_a_scene_reaches_what_two_frames_in_a_row_reach() -> None:
    said = iter([0.9, 0.1, 0.5, 0.6, 0.2] + [0.0] * 20)
    session = cast(Session, SimpleNamespace(run=lambda frame: SimpleNamespace(presence=next(said))))
    image = np.zeros((64, 64, 3), np.uint8)
    assert level(session, image, np.random.default_rng(0)) == 0.5
