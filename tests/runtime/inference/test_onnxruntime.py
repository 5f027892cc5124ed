"""The ONNX Runtime backend keeps to the bundle's contract, whatever the file holds."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile_graphs import failing_graph, give, looping_graph
from redness import polyp_frame, presence_of, redness, tiny_graph

from microaunet_runtime import Bundle, InputError, MicroAUNetError, open_session
from microaunet_runtime.inference import watchdog
from microaunet_runtime.inference.onnxruntime import OnnxRuntimeBackend

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def backend(model: bytes, height: int = 64, width: int = 96) -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(model, "model.onnx", "fp32", height, width, threads=1)


def test_gives_what_the_network_written_out_gives(tiny_bundle: Path) -> None:
    opened = OnnxRuntimeBackend.open(Bundle(tiny_bundle), "fp32", 1)
    for seed in range(3):
        frame = polyp_frame(64, 96, 20 + 20 * seed, 30, 12, seed)[None]
        probability, mask, presence = opened.infer(frame)
        np.testing.assert_allclose(probability, redness(frame), atol=1e-6)
        np.testing.assert_array_equal(mask, redness(frame) > 0.5)
        np.testing.assert_array_equal(presence, presence_of(probability))
        assert (probability.dtype, mask.dtype, presence.dtype) == (np.float32, np.uint8, np.float32)
        assert mask.any()


def test_refuses_another_size_than_the_manifests() -> None:
    with pytest.raises(InputError, match=r"\[1, 32, 32, 3\].*contract.*\[1, 64, 96, 3\]"):
        backend(tiny_graph(32, 32))


@pytest.mark.parametrize("name", ["frame", "probability", "mask", "presence"])
def test_refuses_other_names(name: str) -> None:
    model = onnx.load_from_string(tiny_graph(64, 96))
    graph = model.graph
    for value in (*graph.input, *graph.output):
        value.name = value.name.replace(name, "other")
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = ["other" if each == name else each for each in names]
    with pytest.raises(InputError, match="contract"):
        backend(model.SerializeToString())


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08" * 50])
def test_refuses_what_is_no_model(content: bytes) -> None:
    with pytest.raises(InputError, match=r"cannot load model\.onnx"):
        backend(content)


def test_says_when_the_bundle_lacks_a_precision(tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"no int8 file.*--int8"):
        open_session(tiny_bundle, backend="onnxruntime", precision="int8")


def test_auto_says_what_it_chose_and_why(tiny_bundle: Path) -> None:
    with open_session(tiny_bundle) as session:
        assert session.note.startswith(f"{session.backend.name} fp32, chosen by auto (")


def test_unknown_backend_names_the_known_ones(tiny_bundle: Path) -> None:
    with pytest.raises(InputError, match=r"use auto, .*onnxruntime or triton"):
        open_session(tiny_bundle, backend="caffe")


def test_threads_do_not_change_the_result(make_bundle: Callable[..., Path]) -> None:
    folder = make_bundle(height=128, width=128)
    frame = polyp_frame(128, 128, 60, 60, 30)
    with open_session(folder, threads=1) as one, open_session(folder, threads=2) as two:
        np.testing.assert_array_equal(one.run(frame).probability, two.run(frame).probability)


def settled(threads: int) -> bool:
    """Whether, within seconds, no more than ``threads`` threads are left."""
    deadline = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.02)
    return threading.active_count() <= threads


def test_a_graph_that_never_ends_is_one_error_and_its_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "LIMIT_S", 0.5)
    before = threading.active_count()
    with pytest.raises(InputError, match=r"model\.onnx gave no answer"):
        backend(looping_graph(64, 96, 2**62))
    assert settled(before)


def test_a_signal_ends_the_wait_for_the_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Ctrl-C does; the graph is told to stop, too."""
    before = threading.active_count()
    threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        backend(looping_graph(64, 96, 2**62))
    assert settled(before)


def test_a_frame_that_the_graph_cannot_take_is_one_error_and_the_next_is_run() -> None:
    opened = backend(failing_graph(64, 96))
    black = np.zeros((1, 64, 96, 3), np.uint8)
    with pytest.raises(MicroAUNetError, match=r"ONNX Runtime failed on model\.onnx"):
        opened.infer(black + 1)
    assert opened.infer(black)[0].shape == (1, 1, 64, 96)


def test_a_closed_session_says_so(tiny_bundle: Path) -> None:
    session = open_session(tiny_bundle, backend="onnxruntime")
    session.close()
    session.close()
    with pytest.raises(InputError, match="was closed: open another one"):
        session.run(polyp_frame(64, 96, 50, 30, 15))


def test_a_trusted_bundle_runs_and_says_what_it_was_trusted_with(tiny_bundle: Path) -> None:
    give(tiny_bundle, lambda height, width: looping_graph(height, width, 3))
    bundle = Bundle(tiny_bundle, trust=True)
    with open_session(bundle, backend="onnxruntime") as session:
        assert "trusted to run Loop" in session.note
        assert session.run(polyp_frame(64, 96, 50, 30, 15)).mask.all()
