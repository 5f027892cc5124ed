"""What is pasted and removed leaves the polyp alone, and a network that goes by it is caught."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.cues import CHANGES, failures, measure
from microaunet_runtime.images import synthetic


def frames(polyps: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [synthetic.frame(seed, 120, 160, polyps=polyps) for seed in range(12)]


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_does_something_and_leaves_the_polyp_alone(name: str) -> None:
    changed = 0
    for image, mask in frames(1):
        original = image.copy()
        found = CHANGES[name](image, mask)
        np.testing.assert_array_equal(image, original)
        if found is not None and found.shape == image.shape:
            np.testing.assert_array_equal(found[mask > 0], image[mask > 0])
            changed += bool((found != image).any())
    assert changed > 0 or name == "border removed"


def test_the_lit_picture_is_cut_out() -> None:
    image, mask = frames(1)[0]
    screen, wide = np.zeros((200, 300, 3), np.uint8), np.zeros((200, 300), np.uint8)
    screen[40:160, 70:230], wide[40:160, 70:230] = image, mask
    cut = CHANGES["border removed"](screen, wide)
    assert cut is not None
    assert cut.shape[0] < 150


def test_a_network_that_takes_a_green_box_for_no_polyp_is_caught() -> None:
    def by_the_box(image: np.ndarray) -> tuple[np.ndarray, float]:
        low = image[-image.shape[0] // 4 :].astype(int)
        green = (low[..., 1] > low[..., 0] + 40).mean()
        return np.ones((8, 8), np.float32), 0.1 if green > 0.02 else 0.9

    figures = {"polyp": measure(by_the_box, frames(1), 0.5, 0.5)}
    found = figures["polyp"]["green box pasted"]
    assert found["shown_before"] == found["frames"]
    assert found["cease_to_be_shown"] > 0
    assert any(text.startswith("green box pasted") for text in failures(figures))
    assert not any("text" in text for text in failures(figures))


def test_a_network_that_goes_by_the_polyp_passes() -> None:
    def steady(image: np.ndarray) -> tuple[np.ndarray, float]:
        return np.ones((8, 8), np.float32), 0.7

    assert failures({kind: measure(steady, frames(n), 0.5, 0.5) for kind, n in (("a", 1), ("b", 2))}) == []
