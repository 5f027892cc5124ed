"""The measures of stabilisation, on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.stabilisation import SceneFigures, alarm_lengths, figures, new_regions, sequence_figures
from microaunet_runtime.stream.stabilise import Stabilisation


def block(*squares: tuple[int, int]) -> np.ndarray:
    """A mask of 40 x 40 with squares of 8 x 8 at (row, column)."""
    mask = np.zeros((40, 40), np.uint8)
    for row, column in squares:
        mask[row : row + 8, column : column + 8] = 1
    return mask


def test_a_region_is_new_when_it_touches_no_box_and_nothing_shown_before() -> None:
    mask = block((0, 0), (0, 20), (20, 20))
    assert new_regions(mask, [(0, 0, 8, 8)], block((2, 22))) == 1
    assert new_regions(mask, [], np.zeros_like(mask)) == 3


def test_hits_flicker_and_false_alarms_of_a_clip() -> None:
    polyp = [(4, 4, 12, 12)]
    masks = [block(), block((4, 4)), block((4, 4), (20, 20)), block((4, 4), (20, 20))]
    found = figures(masks, [polyp] * 4, fps=1.0)
    assert found["box_hit_rate"] == 0.75
    assert found["first_hit_frame"] == {"0": 1}
    assert found["false_alarms_per_minute"] == 15.0  # one in four seconds
    assert found["frames_with_mask"] == 3
    assert found["frame_to_frame_iou"] == pytest.approx((0 + 0.5 + 1) / 3, abs=1e-4)


def test_a_sequence_is_found_when_its_polyp_is_in_any_frame() -> None:
    truth = block((4, 4))
    sure, unsure = (truth * np.float32(0.97), 0.97), (truth * np.float32(0.7), 0.7)
    sequences = [[(sure, truth)] * 5, [(unsure, truth)] * 5]
    assert sequence_figures(sequences, None, 0.5, 0.0, 25) == {
        "sequences_found": 2,
        "sequence_frames_found": 10,
    }
    found = sequence_figures(sequences, Stabilisation(), 0.5, 0.9, 25)
    assert found == {"sequences_found": 1, "sequence_frames_found": 4}  # from the second frame on


def test_alarms_count_by_how_long_they_last() -> None:
    assert alarm_lengths([True, False, True, True, False, False, True, True, True]) == [1, 2, 3]
    seen, nothing = block((0, 0)), block()
    scenes = SceneFigures()
    scenes.add([seen] * 50 + [nothing] * 25, None)  # two seconds
    scenes.add([nothing] * 20 + [seen] + [nothing] * 4, None)
    scenes.add([nothing] * 50, None)
    found = scenes.record()
    assert found["polyp_free_scenes_clean"] == 1
    assert found["polyp_free_frames_marked"] == 51
    assert found["alarms_per_minute"] == {"0 s": 20.0, "0.5 s": 10.0, "1 s": 10.0, "2 s": 10.0}  # in 6 s


def test_time_to_first_detection() -> None:
    seen, nothing = block((4, 4)), block()
    scenes = SceneFigures()
    for first in (1, 5, 30):
        scenes.add([nothing] * first + [seen] * 10, [seen] * (first + 10))
    scenes.add([block((20, 20))] * 10, [seen] * 10)  # beside the polyp
    found = scenes.record()
    assert (found["polyps_found_within_1_s"], found["polyps_never_found"]) == (2, 1)
    assert found["first_detection_median_s"] == 0.2
