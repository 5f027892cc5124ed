"""Frames without masks and without polyps: what an epoch shows, and what their teachers' word is kept as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from microaunet.data.lists import ListedFrame
from microaunet.models import create
from microaunet.training.labels import open_labels
from microaunet.training.pool import Labels, Pool
from microaunet.training.teachers import Teachers
from microaunet_runtime.errors import InputError


def pool(share: float) -> Pool:
    stored = np.zeros((20, 4, 32, 32), np.uint8)
    labels = Labels(np.zeros((20, 1, 32, 32), np.uint8), np.zeros(20, np.float32))
    return Pool(stored, unlabelled=4, polyp_free=8, polyp_free_share=share, labels=labels)


@pytest.mark.parametrize(("share", "drawn"), [(0.0, 0), (0.25, 4), (0.9, 8)])
def test_an_epoch_shows_every_other_frame_and_a_share_of_the_polyp_free_ones(
    share: float, drawn: int
) -> None:
    order = pool(share).order(torch.Generator().manual_seed(0)).tolist()
    assert len(order) == len(set(order)) == pool(share).per_epoch == 12 + drawn
    assert set(range(12)) <= set(order)


def test_epochs_draw_other_polyp_free_frames() -> None:
    generator = torch.Generator().manual_seed(0)
    epochs = [frozenset(pool(0.25).order(generator).tolist()) for _ in range(8)]
    assert len(set(epochs)) > 1


def test_frames_without_masks_are_told_apart() -> None:
    assert pool(0.2).is_unlabelled(torch.tensor([7, 8, 11, 12])).tolist() == [False, True, True, False]


def test_frames_without_masks_need_teachers_who_were_asked() -> None:
    with pytest.raises(InputError, match=r"distillation\.cached"):
        Pool(np.zeros((4, 4, 32, 32), np.uint8), unlabelled=1)


def frames(*hashes: str) -> list[ListedFrame]:
    return [ListedFrame(Path(name), None, name, None) for name in hashes]


def test_teachers_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    teachers = Teachers([create("edge-presence").eval()], flips=True, sha256=["a"], size=64)
    stored = np.random.default_rng(0).integers(0, 256, (3, 4, 64, 64), np.uint8)
    first = open_labels(teachers, frames("1", "2", "free"), stored, 1, tmp_path)
    logits, presence = teachers.predict(torch.from_numpy(stored[:2, :3]).float() / 255)
    assert np.abs(first.probability[:2] / 255 - torch.sigmoid(logits).numpy()).max() < 1 / 255
    np.testing.assert_allclose(first.presence[:2], torch.sigmoid(presence).numpy(), atol=1e-5)
    assert first.presence[2] == first.probability[2].max() == 0  # known, not asked
    monkeypatch.setattr(Teachers, "predict", None)
    again = open_labels(teachers, frames("2", "1"), stored[[1, 0]], 0, tmp_path)
    assert np.array_equal(again.probability, first.probability[[1, 0]])
    with pytest.raises(TypeError):  # another frame: the teachers would be asked
        open_labels(teachers, frames("3"), stored[:1], 0, tmp_path)


def test_labels_that_were_cut_short_are_asked_for_again(tmp_path: Path) -> None:
    teachers = Teachers([create("edge").eval()], flips=False, sha256=["a"], size=64)
    stored = np.zeros((1, 4, 64, 64), np.uint8)
    first = open_labels(teachers, frames("1"), stored, 0, tmp_path)
    (path,) = tmp_path.glob("*/*.npz")
    path.write_bytes(path.read_bytes()[:200])
    assert np.array_equal(
        open_labels(teachers, frames("1"), stored, 0, tmp_path).probability, first.probability
    )
