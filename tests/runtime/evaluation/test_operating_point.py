"""Figures of frames with and without a polyp, on cases that can be counted by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from redness import polyp_frame

from microaunet_runtime import open_session
from microaunet_runtime.evaluation.operating_point import (
    SeenFrame,
    curve,
    point_of_specificity,
    presence_summary,
    see_polyp_free,
)

POLYPS = [
    SeenFrame(0.9, 0.1, "large", found=True, dice=0.8),
    SeenFrame(0.4, 0.1, "small", found=True, dice=0.6),
    SeenFrame(0.8, 0.1, "small", found=False, dice=0.1),
]
FREE = [SeenFrame(0.1, 0.2), SeenFrame(0.6, 0.4), SeenFrame(0.95, 0.0), SeenFrame(0.3, 0.0)]


def test_what_is_shown_counts() -> None:
    summary = presence_summary(POLYPS + FREE, 0.5)
    free, polyps, small = summary["polyp_free"], summary["polyps"], summary["small_polyps"]
    # Surest of a polyp, but with no pixel marked: nothing is shown, so the frame is clean.
    assert (free["frames"], free["clean"], free["specificity"]["mean"]) == (4, 3, 0.75)
    assert free["area"]["mean"] == pytest.approx(0.1)
    assert free["area_without_operating_point"]["mean"] == pytest.approx(0.15)
    assert (polyps["frames"], polyps["found"]) == (3, 1)
    assert polyps["dice"]["mean"] == pytest.approx(0.5)
    assert polyps["dice_shown"]["mean"] == pytest.approx(0.3)
    assert (small["frames"], small["found"]) == (2, 0)
    # 0.9 and 0.8 are above three of the four, 0.4 above two.
    assert summary["auc"] == pytest.approx((3 + 3 + 2) / 12)


def test_the_operating_point_itself_shows() -> None:
    assert presence_summary(POLYPS, 0.9)["polyps"]["found"] == 1
    assert presence_summary(POLYPS, 0.9 + 1e-9)["polyps"]["found"] == 0


def test_one_kind_of_frame_has_no_curve() -> None:
    assert set(presence_summary(FREE, 0.5)) == {"operating_point", "polyp_free"}
    assert set(presence_summary(POLYPS, 0.5)) == {"operating_point", "polyps", "small_polyps"}


def test_the_curve_runs_from_all_shown_to_all_clean() -> None:
    points = curve(POLYPS + FREE)
    assert points[0] == {"presence": 0.0, "sensitivity": 2 / 3, "specificity": 0.5}
    assert points[-1]["specificity"] == 1.0
    assert points[-1]["sensitivity"] == pytest.approx(1 / 3)
    assert all(a["presence"] < b["presence"] for a, b in pairwise(points))
    for point in points:
        found = presence_summary(POLYPS + FREE, point["presence"])
        assert found["polyp_free"]["specificity"]["mean"] == point["specificity"]
        assert found["polyps"]["sensitivity"]["mean"] == point["sensitivity"]


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9, 1.0])
def test_the_point_of_a_specificity_keeps_just_so_many_frames_clean(share: float) -> None:
    free = [SeenFrame(k / 20, 0.1) for k in range(20)]
    point = point_of_specificity(free, share)
    clean = presence_summary(free, point)["polyp_free"]["specificity"]["mean"]
    assert clean == pytest.approx(share)
    assert presence_summary(free, point - 0.05)["polyp_free"]["specificity"]["mean"] < share


def test_frames_that_show_nothing_need_no_operating_point() -> None:
    assert point_of_specificity([SeenFrame(0.9, 0.0)] * 5, 0.95) == 0.0


def test_a_polyp_free_frame_is_seen_with_its_area_and_presence(tiny_bundle: Path) -> None:
    with open_session(tiny_bundle, presence=0.9999999) as session:
        quiet, loud = see_polyp_free(
            session.see,
            [np.zeros((64, 96, 3), np.uint8), polyp_frame(64, 96, 50, 30, 10)],
            session.threshold,
        )
    assert (quiet.area, quiet.level) == (0.0, -1.0)
    assert loud.area == pytest.approx(np.pi * 100 / (64 * 96), rel=0.1)
    assert loud.level == loud.presence > 0.9
