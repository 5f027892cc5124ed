"""The start-up paths run in Pythons of their own, and the suites' inputs are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.costs import PATHS, run
from benchmarks.ort_settings import Settings, variants
from benchmarks.regression_gate import Slowed
from benchmarks.training_cost import SIZE, augmented, plain_loop
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.evaluation.dataset import find_pairs
from microaunet_runtime.images.synthetic import write_set
from microaunet_runtime.inference.session import open_session


@pytest.mark.parametrize("name", PATHS)
def test_every_path_gives_its_costs(name: str, edge_bundle: Path, tmp_path: Path) -> None:
    frame_file = tmp_path / "frame.npy"
    np.save(frame_file, np.full((480, 640, 3), 90, np.uint8))
    found = run(name, edge_bundle, frame_file)
    assert 0 < found["import_s"] < found["first_mask_s"]
    assert 10 < found["memory_mb"] < 4000


def test_every_setting_gives_the_same_probability(edge_bundle: Path) -> None:
    path, _ = Bundle(edge_bundle).artefact("fp32")
    frame = Bundle(edge_bundle).golden().frames[:1]
    expected = Bundle(edge_bundle).golden().probability[:1]
    named = variants(("fp32", "int8"))
    assert next(iter(named.values())) == Settings()  # the first is what the runtime does
    assert named["int8"].precision == "int8"
    for settings in named.values():
        probability = settings.open(path.read_bytes()).run(None, {"frame": frame})[0]
        assert np.abs(probability - expected).max() < 1e-4


def test_a_slowed_backend_gives_the_same_masks(edge_bundle: Path) -> None:
    golden = Bundle(edge_bundle).golden()
    slowed = Slowed(open_session(edge_bundle).backend, 1.15)
    probability = slowed.infer(golden.frames[:1]).probability
    assert np.abs(probability - golden.probability[:1]).max() < 1e-4
    slowed.close()


def test_the_plain_loop_augments_and_trains(tmp_path: Path) -> None:
    write_set(tmp_path, 1, seed=1)
    pairs = find_pairs(tmp_path)
    image, mask = augmented(pairs[0], np.random.default_rng(0))
    assert image.shape == (1, 3, SIZE, SIZE)
    assert 0 <= image.min() <= image.max() <= 1
    assert set(torch.unique(mask).tolist()) <= {0.0, 1.0}
    assert plain_loop(pairs) > 0
