"""One engine for several sources: in turns, in one thread, reopened for all after a failure."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from redness import polyp_frame

from microaunet_runtime import Session, open_session
from microaunet_runtime.inference.backend import Outputs
from microaunet_runtime.inference.shared import SharedEngine

pytest.importorskip("onnxruntime")


class Watching:
    """A backend that notes who ran and closed it, and fails when told."""

    def __init__(self, session: Session, log: list[object]) -> None:
        self.inner = session.backend
        self.name, self.precision, self.note = self.inner.name, self.inner.precision, ""
        self.log = log
        self.fails = False
        self.seconds = 0.0

    def infer(self, frame: np.ndarray) -> Outputs:
        if self.fails:
            raise RuntimeError("device lost")
        self.log.append((threading.current_thread().name, int(frame[0, 0, 0, 0])))
        time.sleep(self.seconds)
        return self.inner.infer(frame)

    def close(self) -> None:
        self.log.append("closed")
        self.inner.close()


@pytest.fixture
def shared(tiny_bundle: Path) -> tuple[SharedEngine, list[object], list[Watching]]:
    log: list[object] = []
    opened: list[Watching] = []

    def open_watched() -> Session:
        session = open_session(tiny_bundle, backend="onnxruntime")
        opened.append(Watching(session, log))
        session.backend = opened[-1]
        return session

    return SharedEngine(open_watched), log, opened


def test_every_source_gets_its_own_masks_from_one_engine(
    shared: tuple[SharedEngine, list[object], list[Watching]],
) -> None:
    engine, log, opened = shared
    sessions = [engine.session() for _ in range(3)]
    frames = [polyp_frame(64, 96, 20 + 25 * number, 30, 10) for number in range(3)]
    predictions = [session.run(frame) for session, frame in zip(sessions, frames, strict=True)]
    for prediction, frame in zip(predictions, frames, strict=True):
        np.testing.assert_array_equal(prediction.mask > 0, frame[..., 1] < 60)
    assert len(opened) == 1
    for session in sessions:
        assert "closed" not in log
        session.close()
        session.close()
    assert log.count("closed") == 1
    engine.close()


def test_turns_go_round_and_one_thread_runs_them(
    shared: tuple[SharedEngine, list[object], list[Watching]],
) -> None:
    """A source that asks again and again gets no more turns than one that asks as often."""
    engine, log, opened = shared
    sessions = [engine.session() for _ in range(3)]
    opened[0].seconds = 0.01
    ready = threading.Barrier(3)

    def ask(number: int) -> None:
        frame = np.full((64, 96, 3), number, np.uint8)
        ready.wait()
        for _ in range(10):
            sessions[number].run(frame)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    runs = [entry for entry in log if isinstance(entry, tuple)]
    assert len({thread for thread, _ in runs}) == 1
    order = [number for _, number in runs]
    for number in range(3):
        turns = [place for place, who in enumerate(order) if who == number]
        gaps = np.diff(turns)
        assert gaps.max() <= 4, f"source {number} waited for {gaps.max()} frames: {order}"
    for session in sessions:
        session.close()
    engine.close()


def test_after_a_failure_it_is_reopened_once_for_all(
    shared: tuple[SharedEngine, list[object], list[Watching]],
) -> None:
    engine, _, opened = shared
    one, other = engine.session(), engine.session()
    frame = polyp_frame(64, 96, 40, 30, 10)
    opened[0].fails = True
    for session in (one, other):
        with pytest.raises(RuntimeError, match="device lost"):
            session.run(frame)
    one.close()
    one = engine.session()
    other.close()
    other = engine.session()
    assert len(opened) == 2
    assert one.run(frame).mask.any()
    assert other.run(frame).mask.any()
    one.close()
    other.close()
    engine.close()
