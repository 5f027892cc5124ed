"""The TensorRT backend on a simulated GPU; tests/gpu runs it on a real one."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from redness import polyp_frame, presence_of, redness
from simulated_gpu import GOOD, HEIGHT, SLOW, SLOW_S, UNMADE, WIDTH, SimulatedGpu, simulated_tensorrt

from microaunet_runtime.errors import InputError, MicroAUNetError
from microaunet_runtime.inference.backend import GpuTimed
from microaunet_runtime.inference.cuda import CudaError
from microaunet_runtime.inference.tensorrt import backend as backend_module
from microaunet_runtime.inference.tensorrt.backend import TensorRTBackend
from microaunet_runtime.inference.tensorrt.engines import trtexec
from microaunet_runtime.inference.tensorrt.versions import TensorRT, capabilities

Opener = Callable[..., TensorRTBackend]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Opener:
    """Make a simulated GPU the one that the backend finds, and open an engine on it."""
    # What Polygraphy did for the TensorRT that is installed does not concern the simulated one.
    monkeypatch.delitem(sys.modules, "polygraphy.backend.trt.util", raising=False)

    def opened(gpu: SimulatedGpu, content: bytes = GOOD, **facts: object) -> TensorRTBackend:
        monkeypatch.setattr(backend_module, "provider", lambda: gpu)
        trt = simulated_tensorrt(gpu, **facts)
        return TensorRTBackend(trt, content, "bundle/engines/x/fp16.engine", "fp16", HEIGHT, WIDTH)

    return opened


def frames(count: int) -> np.ndarray:
    return np.stack([polyp_frame(HEIGHT, WIDTH, 10 + 15 * i, 30, 8 + i, seed=i) for i in range(count)])


def check(backend: TensorRTBackend, seen: np.ndarray) -> None:
    for frame in seen:
        probability, mask, presence = backend.infer(frame[None])
        np.testing.assert_array_equal(probability, redness(frame[None]))
        np.testing.assert_array_equal(mask, redness(frame[None]) > 0.5)
        np.testing.assert_array_equal(presence, presence_of(redness(frame[None])))


@pytest.mark.parametrize("integrated", [False, True])
def test_every_frame_gets_its_own_answer(use: Opener, integrated: bool) -> None:
    gpu = SimulatedGpu(integrated=integrated)
    backend = use(gpu)
    before = gpu.launched
    check(backend, frames(5))
    assert gpu.launched - before == 5
    assert backend.note == "enqueued as a CUDA graph"
    assert (gpu.copied == 0) == integrated  # shared memory is never copied
    backend.close()
    assert not gpu.taken


def test_a_refused_capture_is_said_and_frames_still_run(use: Opener) -> None:
    gpu = SimulatedGpu(refuses_capture=True)
    backend = use(gpu)
    assert "no CUDA graph could be captured" in backend.note
    assert "STREAM_CAPTURE_UNSUPPORTED" in backend.note
    check(backend, frames(3))
    assert gpu.launched == 0


def test_a_provider_without_graphs_is_said_and_frames_still_run(use: Opener) -> None:
    class WithoutGraphs(SimulatedGpu):
        begin_capture = None

        def __getattribute__(self, name: str) -> object:
            if name in ("begin_capture", "end_capture", "launch", "destroy_graph"):
                raise AttributeError(name)
            return super().__getattribute__(name)

    backend = use(WithoutGraphs())
    assert "cuda-bindings" in backend.note
    check(backend, frames(3))


def test_opening_and_closing_200_times_leaves_nothing(use: Opener) -> None:
    gpu = SimulatedGpu()
    for frame in np.repeat(frames(1), 200, axis=0):
        backend = use(gpu)
        check(backend, frame[None])
        backend.close()
        backend.close()
    assert not gpu.taken


@pytest.mark.parametrize(
    ("content", "facts", "message"),
    [
        (
            b"something else",
            {},
            r"cannot load bundle/engines/x/fp16\.engine \(the engine was made by another",
        ),
        (GOOD, {"shape": (32, 32)}, "the bundle's contract is"),
        (GOOD, {"fails": True}, "could not run a frame"),
        (UNMADE, {}, r"cannot load bundle/engines/x/fp16\.engine \(the GPU is lost; factory function"),
    ],
)
def test_a_bad_engine_is_named_and_leaves_nothing(
    use: Opener, content: bytes, facts: dict, message: str
) -> None:
    gpu = SimulatedGpu()
    with pytest.raises(MicroAUNetError, match=message):
        use(gpu, content, **facts)
    assert not gpu.taken


def test_no_memory_half_way_leaves_nothing(use: Opener) -> None:
    class Full(SimulatedGpu):
        def allocate(self, nbytes: int) -> int:
            if len(self.taken) > 3:
                raise CudaError("CUDA_ERROR_OUT_OF_MEMORY")
            return super().allocate(nbytes)

    gpu = Full()
    with pytest.raises(CudaError, match="OUT_OF_MEMORY"):
        use(gpu)
    assert not gpu.taken


def test_sessions_in_two_threads_keep_their_frames_apart(use: Opener) -> None:
    gpu = SimulatedGpu()
    backends = [use(gpu), use(gpu)]
    failures: list[BaseException] = []

    def work(backend: TensorRTBackend, seen: np.ndarray) -> None:
        try:
            for _ in range(20):
                check(backend, seen)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=work, args=pair)
        for pair in zip(backends, (frames(2), frames(4)[2:]), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    for backend in backends:
        backend.close()
    assert not gpu.taken


def test_a_closed_session_says_so(use: Opener) -> None:
    backend = use(SimulatedGpu())
    backend.close()
    with pytest.raises(InputError, match="was closed"):
        backend.infer(frames(1))


def test_a_bundle_without_engines_is_said_before_tensorrt_is_looked_for(tiny_bundle: Path) -> None:
    from microaunet_runtime.bundle import Bundle

    reason = TensorRTBackend.unavailable(Bundle(tiny_bundle), None)
    assert "has no engine" in reason
    assert "microaunet-build" in reason


def test_the_gpus_own_time_is_told_and_nothing_is_left(use: Opener) -> None:
    gpu = SimulatedGpu()
    backend = use(gpu, SLOW)
    held = len(gpu.taken)
    assert isinstance(backend, GpuTimed)
    assert backend.gpu_ms(frames(1)) >= SLOW_S * 1e3
    assert len(gpu.taken) == held
    check(backend, frames(2))


@pytest.mark.parametrize(
    ("flavour", "version", "command"),
    [
        ("tensorrt", "10.3.0", "trtexec --loadEngine=x.engine .*--useCudaGraph --useSpinWait --noDataTransf"),
        ("tensorrt", "11.4.1", "trtexec --loadEngine=x.engine --warmUp=1000 --duration=10$"),
        ("tensorrt_rtx", "1.7.1", "tensorrt_rtx --loadEngine=x.engine --warmUp=1000 --duration=10$"),
    ],
)
def test_nvidias_own_check_is_named(flavour: str, version: str, command: str) -> None:
    trt = TensorRT(flavour, version, None, capabilities(flavour, version))
    assert re.match(command, trtexec(trt, "x.engine"))


def test_polygraphys_logger_is_used_where_it_came_first(use: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    # TensorRT keeps a process's first logger: what a later one would hear is lost.
    polygraphy = pytest.importorskip("polygraphy.logger", reason="polygraphy is not installed").G_LOGGER

    class Theirs:
        def log(self, severity: str, message: str) -> None:
            polygraphy.error(message)

    theirs = SimpleNamespace(TRT_LOGGER=Theirs())
    monkeypatch.setitem(sys.modules, "polygraphy.backend.trt.util", theirs)
    with pytest.raises(InputError, match="the engine was made by another version"):
        use(SimulatedGpu(), b"something else")


def test_polygraphy_is_given_the_logger_that_came_first(use: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = SimpleNamespace(TRT_LOGGER=None)
    monkeypatch.setitem(sys.modules, "polygraphy.backend.trt.util", theirs)
    use(SimulatedGpu())
    assert theirs.TRT_LOGGER is not None
