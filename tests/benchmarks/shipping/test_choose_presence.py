"""The presence that is written into a card is the one that the stabiliser goes by."""

from __future__ import annotations

import numpy as np

from benchmarks.shipping.choose_presence import sure_level
from microaunet_runtime.stream.stabilise import Stabiliser


def test_a_region_appears_below_its_level_and_not_at_it() -> None:
    rows, columns = np.ogrid[:64, :64]
    disc = (1 - np.hypot(rows - 30, columns - 34) / 32).clip(0).astype(np.float32)
    level = sure_level(disc)
    assert 0.5 < level < disc.max()
    for presence, shows in ((level - 1e-6, True), (level + 1e-6, False)):
        stabiliser = Stabiliser(0.5, presence)
        assert [bool(stabiliser(disc, index / 25).any()) for index in range(3)] == [False, shows, shows]
