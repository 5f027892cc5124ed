"""Sessions on a real GPU. For leaks also: compute-sanitizer --leak-check full python -m pytest tests/gpu"""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from microaunet_runtime import open_session
from microaunet_runtime.building.build import build
from microaunet_runtime.bundle import Bundle
from microaunet_runtime.inference.cuda import Device, provider
from microaunet_runtime.verification.selftest import self_test

pytestmark = pytest.mark.gpu


def test_the_engine_agrees_with_the_reference(built_bundle: Bundle) -> None:
    golden = built_bundle.golden()
    with open_session(built_bundle, backend="tensorrt") as session:
        for frame, expected in zip(golden.frames, golden.probability, strict=True):
            prediction = session.run(frame)
            assert np.abs(prediction.probability - expected[0]).max() < 1e-3
            assert (prediction.mask != (expected[0] > 0.5)).mean() < 1e-3


def test_the_self_test_passes(built_bundle: Bundle) -> None:
    (check,) = self_test(built_bundle, ("tensorrt",))
    assert check.passed, check.problem


def test_a_second_build_is_found(built_bundle: Bundle) -> None:
    (again,) = build(built_bundle, "fp32")
    assert again.cached
    assert again.engine.verified


def test_the_session_says_how_it_enqueues(built_bundle: Bundle) -> None:
    with open_session(built_bundle, backend="tensorrt") as session:
        if provider().name == "cuda-python":
            assert "CUDA graph" in session.note
        assert "enqueued" in session.note


def test_two_threads_do_not_meet(built_bundle: Bundle) -> None:
    golden = built_bundle.golden()
    failures: list[str] = []

    def work(index: int) -> None:
        expected = golden.probability[index, 0]
        with open_session(built_bundle, backend="tensorrt") as session:
            for _ in range(300):
                found = session.run(golden.frames[index]).probability
                if np.abs(found - expected).max() >= 1e-3:
                    failures.append(f"thread {index} got another frame's answer")
                    return

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_opening_and_closing_200_times_gives_all_memory_back(built_bundle: Bundle, gpu: Device) -> None:
    # In a process of its own: what other tests hold would hide a leak. Free memory is asked of the driver.
    pytest.importorskip("cuda.bindings.driver")
    code = """
import sys
from cuda.bindings import driver
from microaunet_runtime import Bundle, open_session
from microaunet_runtime.inference.cuda import provider
bundle = Bundle(sys.argv[1])
frame = bundle.golden().frames[0]
held = provider().retain()  # keeps the primary context, whose own memory would come and go
def once():
    with open_session(bundle, backend="tensorrt") as session:
        session.run(frame)
def free():
    with held.current():
        return driver.cuMemGetInfo()[1]
for _ in range(5):
    once()
before = free()
for _ in range(200):
    once()
print(before - free())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(built_bundle.folder)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) <= 4 << 20
