"""The latency comparison on real backends: equal bundles pass, a slower one is caught."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from microaunet_runtime.bench.latency_comparison import Sampling, Side, compare_latency
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.inference.backend import Backend, Outputs
from microaunet_runtime.inference.session import open_session

QUICK = Sampling(blocks=4, max_blocks=6, turns=2, frames=3, warm_up=1)


class Waiting:
    """A backend whose frame takes ``times`` as long as another's: what it lacks is spent busy."""

    def __init__(self, inner: Backend, times: float) -> None:
        self.name, self.precision, self.note = inner.name, inner.precision, inner.note
        self._inner, self._times = inner, times
        self.closed = False

    def infer(self, frame: np.ndarray) -> Outputs:
        start = time.perf_counter()
        result = self._inner.infer(frame)
        end = start + self._times * (time.perf_counter() - start)
        while time.perf_counter() < end:
            pass
        return result

    def close(self) -> None:
        self._inner.close()
        self.closed = True


def side(bundle: Path, open_backend: Callable[[], Backend] | None = None) -> Side:
    frames = [frame[None] for frame in Bundle(bundle).golden().frames]
    return Side(open_backend or (lambda: open_session(bundle).backend), frames)


def test_a_backend_three_times_as_slow_is_caught_and_everything_is_closed(tiny_bundle: Path) -> None:
    opened: list[Waiting] = []

    def slow() -> Backend:
        opened.append(Waiting(open_session(tiny_bundle).backend, 3.0))
        return opened[-1]

    found = compare_latency(side(tiny_bundle), side(tiny_bundle, slow), sampling=QUICK)
    assert not found.passed
    assert found.ratio.verdict == "slower"
    assert len(opened) == len(found.candidate_ms)  # sessions are opened again for every block
    assert all(backend.closed for backend in opened)


def test_more_blocks_are_spent_until_it_is_clear() -> None:
    class Alternating:
        name, precision = "alternating", "fp32"
        opened = 0

        def __init__(self) -> None:
            Alternating.opened += 1
            self.wait = 1e-3 if Alternating.opened % 2 else 4e-4

        def infer(self, frame: np.ndarray) -> Outputs:
            time.sleep(self.wait)
            return frame, frame

        def close(self) -> None:
            pass

    class Steady(Alternating):
        def __init__(self) -> None:
            self.wait = 6e-4

    blank = [np.zeros((1, 32, 32, 3), np.uint8)]
    found = compare_latency(Side(Steady, blank), Side(Alternating, blank), sampling=QUICK)
    assert len(found.baseline_ms) == QUICK.max_blocks
    assert found.ratio.undecided(found.allowed)
    assert found.passed  # what cannot be told is no failure
    assert found.figures()["decided"] is False


def test_a_backend_that_breaks_leaves_none_open(tiny_bundle: Path) -> None:
    opened: list[Waiting] = []

    def fine() -> Backend:
        opened.append(Waiting(open_session(tiny_bundle).backend, 1.0))
        return opened[-1]

    def broken() -> Backend:
        raise OSError("out of memory")

    with pytest.raises(OSError, match="out of memory"):
        compare_latency(side(tiny_bundle, fine), side(tiny_bundle, broken), sampling=QUICK)
    assert [backend.closed for backend in opened] == [True]
