"""What a session promises: predictions that stay, masks at the frame's size, clear errors for bad frames."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from redness import polyp_frame

from microaunet_runtime import InputError, MicroAUNetError, Session, open_session
from microaunet_runtime.inference.backend import Outputs

pytest.importorskip("onnxruntime")


def test_a_later_frame_changes_no_earlier_prediction(tiny_bundle: Path) -> None:
    frames = [
        polyp_frame(64, 96, 20, 30, 10),
        polyp_frame(64, 96, 70, 30, 14),
        np.zeros((64, 96, 3), np.uint8),
    ]
    with open_session(tiny_bundle) as session:
        first = [session.run(frame) for frame in frames]
        kept = [(p.probability.copy(), p.mask.copy()) for p in first]
        for frame in frames:
            session.run(frame)
    for prediction, (probability, mask) in zip(first, kept, strict=True):
        np.testing.assert_array_equal(prediction.probability, probability)
        np.testing.assert_array_equal(prediction.mask, mask)
    assert not np.shares_memory(first[0].mask, first[1].mask)
    assert first[0].mask.any()
    assert not first[2].mask.any()


@pytest.mark.parametrize("size", [(64, 96), (480, 640), (1080, 1920), (33, 41), (1, 1)])
def test_the_mask_has_the_frames_size(tiny_bundle: Path, size: tuple[int, int]) -> None:
    with open_session(tiny_bundle) as session:
        prediction = session.run(polyp_frame(*size, size[1] // 2, size[0] // 2, min(size) // 3))
    assert prediction.mask.shape == size
    assert prediction.mask.dtype == np.uint8
    assert set(np.unique(prediction.mask)) <= {0, 1}
    assert prediction.probability.shape == (64, 96)
    assert set(prediction.latency_ms) == {"preprocess", "inference", "postprocess"}


def test_the_mask_lies_where_the_polyp_is(tiny_bundle: Path) -> None:
    frame = polyp_frame(480, 640, 400, 200, 80)
    truth = frame[..., 1] < 60
    with open_session(tiny_bundle) as session:
        mask = session.run(frame).mask.astype(bool)
    assert (mask & truth).sum() / (mask | truth).sum() > 0.95


def test_bgr_and_rgb_give_the_same(tiny_bundle: Path) -> None:
    frame = polyp_frame(120, 160, 60, 60, 30)
    with open_session(tiny_bundle) as session:
        rgb = session.run(frame)
        bgr = session.run(np.ascontiguousarray(frame[..., ::-1]), bgr=True)
    np.testing.assert_array_equal(rgb.probability, bgr.probability)


def test_another_threshold_needs_no_other_bundle(tiny_bundle: Path) -> None:
    frame = polyp_frame(64, 96, 50, 30, 15)
    with (
        open_session(tiny_bundle, threshold=0.9999) as strict,
        open_session(tiny_bundle, threshold=1e-4, presence=0) as loose,
    ):
        assert not strict.run(frame).mask.any()
        assert loose.run(frame).mask.all()


def test_below_the_operating_point_the_mask_is_empty_and_the_probability_is_not(tiny_bundle: Path) -> None:
    frame = polyp_frame(64, 96, 50, 30, 15)
    with open_session(tiny_bundle) as session:
        shown = session.run(frame)
        nothing = session.run(np.zeros_like(frame))
    assert shown.presence == shown.probability.max() > 0.5 > nothing.presence
    above = float(np.nextafter(np.float32(shown.presence), np.float32(2)))
    for presence, shows in ((0, True), (shown.presence, True), (above, False)):
        with open_session(tiny_bundle, presence=presence) as session:
            found = session.run(frame)
        assert found.mask.any() == shows
        assert found.presence == shown.presence
        np.testing.assert_array_equal(found.probability, shown.probability)


@pytest.mark.parametrize("presence", [1, -0.1, float("nan")])
def test_an_operating_point_outside_the_range_is_refused(tiny_bundle: Path, presence: float) -> None:
    with pytest.raises(InputError, match=r"presence .* is not from 0"):
        open_session(tiny_bundle, presence=presence)


@pytest.mark.parametrize("threshold", [0, 1, -0.5, 7, float("nan")])
def test_a_threshold_outside_the_range_is_refused(tiny_bundle: Path, threshold: float) -> None:
    with pytest.raises(InputError, match="not between 0 and 1"):
        open_session(tiny_bundle, threshold=threshold)


@pytest.mark.parametrize("stated", [0.9, 0.45, 0.55, 0.1])
def test_a_threshold_that_the_graph_does_not_cut_at_is_refused(tiny_bundle: Path, stated: float) -> None:
    """It was printed, and the graph's own was applied."""
    manifest = tiny_bundle / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"threshold": stated}))
    with pytest.raises(InputError, match=rf"threshold {stated}.*cuts its mask elsewhere"):
        open_session(tiny_bundle)


@pytest.mark.parametrize("threshold", [0.3, 0.62])
def test_the_mask_is_cut_at_the_manifests_threshold(
    make_bundle: Callable[..., Path], threshold: float
) -> None:
    frame = polyp_frame(64, 96, 50, 30, 15)
    with open_session(make_bundle(threshold=threshold)) as session:
        found = session.run(frame)
    np.testing.assert_array_equal(found.mask, found.probability > threshold)


def test_a_network_that_gives_no_number_does_not_open(make_bundle: Callable[..., Path]) -> None:
    """Its mask is empty, which would read as "no polyp"."""
    with pytest.raises(MicroAUNetError, match="probabilities from nan to nan"):
        open_session(make_bundle(biases={"fp32": float("nan")}))


@pytest.mark.parametrize(
    ("probability", "mask", "presence", "said"),
    [
        (np.nan, 0, 0.5, "probabilities from nan"),
        (np.inf, 0, 0.5, "to inf"),
        (-0.01, 0, 0.5, "from -0.01"),
        (1.01, 1, 0.5, "to 1.01"),
        (0.9, 255, 0.5, "a mask that holds 255"),
        (0.9, 1, np.nan, "a presence from nan"),
        (0.9, 1, 1.5, "a presence from 1.5"),
    ],
)
def test_what_is_no_probability_and_no_mask_is_an_error_of_the_backend(
    tiny_bundle: Path, probability: float, mask: int, presence: float, said: str
) -> None:
    class Odd:
        name, precision, note = "odd", "fp32", ""

        def infer(self, frame: np.ndarray) -> Outputs:
            outputs = Outputs(
                probability=np.full((1, 1, 64, 96), 0.2, np.float32),
                mask=np.zeros((1, 1, 64, 96), np.uint8),
                presence=np.array([presence], np.float32),
            )
            outputs.probability[0, 0, 3, 5], outputs.mask[0, 0, 3, 5] = probability, mask
            return outputs

        def close(self) -> None:
            pass

    frame = polyp_frame(64, 96, 50, 30, 15)
    session = Session(Odd(), 64, 96, threshold=0.5)
    for use in (session.run, session.probability):
        with pytest.raises(MicroAUNetError, match=said) as refused:
            use(frame)
        assert not isinstance(refused.value, InputError)  # the frame is not to blame


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((64, 96), np.uint8),
        np.zeros((64, 96, 4), np.uint8),
        np.zeros((64, 96, 3), np.float32),
        np.zeros((0, 96, 3), np.uint8),
        np.zeros((2, 64, 96, 3), np.uint8),
        "frame.png",
    ],
)
def test_a_bad_frame_is_one_clear_error_and_the_session_goes_on(tiny_bundle: Path, frame: np.ndarray) -> None:
    with open_session(tiny_bundle) as session:
        with pytest.raises(InputError, match="frame"):
            session.run(frame)
        assert session.run(polyp_frame(64, 96, 50, 30, 15)).mask.any()


def test_importing_and_opening_is_quick_and_brings_in_nothing_heavy(tiny_bundle: Path) -> None:
    script = (
        "import sys, time, microaunet_runtime as r\n"
        f"r.Bundle({str(tiny_bundle)!r}).check()\n"
        "heavy = {'torch', 'onnx', 'cv2', 'onnxruntime', 'matplotlib', 'scipy'} & set(sys.modules)\n"
        "if heavy: sys.exit(f'imported {heavy}')\n"
        "print(time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The promise is one second. Of the processor, from the interpreter's start on: what other programs on the
    # machine take of the clock does not count.
    assert float(done.stdout) < 1


def test_a_session_in_use_by_another_thread_says_so(tiny_bundle: Path) -> None:
    """Two threads in one session's buffers got each other's masks."""
    entered, leave = threading.Event(), threading.Event()
    frame = polyp_frame(64, 96, 50, 30, 15)
    with open_session(tiny_bundle, backend="onnxruntime") as session:
        infer = session.backend.infer

        def waiting(tensor: np.ndarray) -> Outputs:
            entered.set()
            leave.wait(60)
            return infer(tensor)

        session.backend.infer = waiting  # type: ignore[method-assign]
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(session.run, frame)
            assert entered.wait(60)
            for use in (session.run, session.probability):
                with pytest.raises(InputError, match="in use by another thread"):
                    use(frame)
            leave.set()
            assert first.result(60).mask.any()
        assert session.run(frame).mask.any()


@pytest.mark.parametrize("threads", [0, -1, 257, 3000])
def test_threads_that_no_machine_has_are_refused(tiny_bundle: Path, threads: int) -> None:
    with pytest.raises(InputError, match=f"threads {threads} is not a number from 1 to 256"):
        open_session(tiny_bundle, threads=threads)
