"""A GPU and a TensorRT that exist only in memory, for what no test here could otherwise reach without a GPU.

Work put on a stream runs when the stream is synchronised, not before; what a capture records runs when its
graph is launched; device memory has addresses of its own; everything taken is counted. Engines find redness.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
from redness import BIAS, presence_of, redness

from microaunet_runtime.inference.cuda import CudaError, Device, HostMemory
from microaunet_runtime.inference.tensorrt.versions import TensorRT, capabilities

HEIGHT, WIDTH = 64, 96
GOOD, SLOW, WRONG = b"a good engine", b"a slow engine", b"a wrong engine"
BREAKS = b"an engine that breaks while it runs"
LOSES = b"an engine that takes the GPU down with it"
UNMADE = b"an engine that the bindings raise at"
BIASES = {
    GOOD: float(BIAS),
    SLOW: float(BIAS),
    WRONG: float(BIAS) - 20,
    BREAKS: float(BIAS),
    LOSES: float(BIAS),
}
SLOW_S = 0.002
LAYERS = ["first + relu", "second"]
RUNS_BEFORE_BREAKING = 10


class SimulatedGpu:
    """A provider and, for its only device, the context."""

    name = "simulated"

    def __init__(self, *, integrated: bool = False, refuses_capture: bool = False) -> None:
        self.integrated = integrated
        self.refuses_capture = refuses_capture
        self.taken: dict[int, Any] = {}
        self.lost = False
        self.launched = 0
        self.copied = 0
        self._current = threading.local()
        self._next = 0x1000
        self._pending: dict[int, list[Callable[[], None]]] = {}
        self._capturing: list[Callable[[], None]] | None = None

    def device(self) -> Device:
        return Device("Simulated", (8, 7), 8, 4096, self.integrated, "12.6")

    def context(self) -> SimulatedGpu:
        return self

    @contextmanager
    def current(self) -> Iterator[None]:
        self._current.depth = getattr(self._current, "depth", 0) + 1
        try:
            yield
        finally:
            self._current.depth -= 1

    def take(self, thing: Any) -> int:
        self.check()
        self._next += 0x1000
        self.taken[self._next] = thing
        return self._next

    def give(self, handle: int) -> None:
        self.check()
        del self.taken[handle]

    def check(self) -> None:
        if self.lost:
            raise CudaError("CUDA_ERROR_ILLEGAL_ADDRESS")
        if not getattr(self._current, "depth", 0):
            raise CudaError("the context is not current on this thread")

    def create_stream(self) -> int:
        stream = self.take("stream")
        self._pending[stream] = []
        return stream

    destroy_stream = free = destroy_graph = destroy_event = give

    def create_event(self) -> int:
        return self.take({})

    def record(self, event: int, stream: int) -> None:
        self.enqueue(stream, lambda: self.taken[event].update(passed=time.perf_counter()))

    def elapsed_ms(self, start: int, end: int) -> float:
        self.check()
        return (self.taken[end]["passed"] - self.taken[start]["passed"]) * 1e3

    def synchronize(self, stream: int) -> None:
        self.check()
        pending, self._pending[stream] = self._pending[stream], []
        for work in pending:
            work()

    def pin(self, nbytes: int, *, mapped: bool) -> HostMemory:
        array = np.zeros(nbytes, np.uint8)
        handle = self.take(array)
        return HostMemory(array, handle if mapped else 0)

    def unpin(self, memory: HostMemory) -> None:
        self.give(next(handle for handle, thing in self.taken.items() if thing is memory.array))

    def allocate(self, nbytes: int) -> int:
        return self.take(np.zeros(nbytes, np.uint8))

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        self.check()
        (self._pending[stream] if self._capturing is None else self._capturing).append(work)

    def copy_to_device(self, address: int, memory: HostMemory, stream: int) -> None:
        self.copied += 1
        self.enqueue(stream, lambda: np.copyto(self.taken[address], memory.array))

    def copy_to_host(self, memory: HostMemory, address: int, stream: int) -> None:
        self.copied += 1
        self.enqueue(stream, lambda: np.copyto(memory.array, self.taken[address]))

    def begin_capture(self, stream: int) -> None:
        self._capturing = []

    def end_capture(self, stream: int) -> int:
        recorded, self._capturing = self._capturing, None
        if self.refuses_capture:
            raise CudaError("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")
        return self.take(recorded)

    def launch(self, graph: int, stream: int) -> None:
        self.launched += 1
        for work in self.taken[graph]:
            self.enqueue(stream, work)


def simulated_tensorrt(
    gpu: SimulatedGpu, *, shape: tuple[int, int] = (HEIGHT, WIDTH), fails: bool = False
) -> TensorRT:
    """A TensorRT whose engines mark what is red. With ``fails`` its contexts refuse every frame."""
    kinds, modes = SimpleNamespace(UINT8="uint8", FLOAT="float"), SimpleNamespace(INPUT="in", OUTPUT="out")
    tensors = {
        "frame": (modes.INPUT, kinds.UINT8, (1, *shape, 3)),
        "probability": (modes.OUTPUT, kinds.FLOAT, (1, 1, *shape)),
        "mask": (modes.OUTPUT, kinds.UINT8, (1, 1, *shape)),
        "presence": (modes.OUTPUT, kinds.FLOAT, (1,)),
    }

    class Context:
        def __init__(self, content: bytes) -> None:
            self.content = content
            self.addresses: dict[str, int] = {}
            self.runs = 0

        def set_tensor_address(self, name: str, address: int) -> None:
            self.addresses[name] = address

        def execute_async_v3(self, stream: int) -> bool:
            if not fails:
                gpu.enqueue(stream, self.compute)
            return not fails

        def compute(self) -> None:
            self.runs += 1
            if self.content in (BREAKS, LOSES) and self.runs > RUNS_BEFORE_BREAKING:
                gpu.lost = self.content == LOSES
                raise CudaError("CUDA_ERROR_LAUNCH_FAILED")
            frame, probability, mask, presence = (gpu.taken[self.addresses[name]] for name in tensors)
            found = redness(frame.reshape(1, *shape, 3), BIASES[self.content])
            time.sleep(SLOW_S if self.content == SLOW else 0)
            probability[:] = found.reshape(-1).view(np.uint8)
            mask[:] = (found > 0.5).reshape(-1)
            presence[:] = presence_of(found).view(np.uint8)

    def engine(content: bytes) -> SimpleNamespace:
        return SimpleNamespace(
            num_io_tensors=len(tensors),
            get_tensor_name=lambda index: list(tensors)[index],
            get_tensor_mode=lambda name: tensors[name][0],
            get_tensor_dtype=lambda name: tensors[name][1],
            get_tensor_shape=lambda name: tensors[name][2],
            create_execution_context=lambda: Context(content),
            create_engine_inspector=lambda: SimpleNamespace(
                get_engine_information=lambda form: json.dumps({"Layers": LAYERS, "Bindings": []})
            ),
        )

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, content: bytes) -> Any:
            if content in BIASES:
                return engine(content)
            if content == UNMADE:
                self.logger.log("error", "the GPU is lost")
                raise TypeError("factory function returned nullptr")
            self.logger.log("error", "the engine was made by another version")
            return None

    module = SimpleNamespace(
        Runtime=Runtime,
        ILogger=type("ILogger", (), {}),
        Logger=SimpleNamespace(INTERNAL_ERROR="internal error", ERROR="error"),
        DataType=kinds,
        TensorIOMode=modes,
        LayerInformationFormat=SimpleNamespace(JSON="json"),
    )
    return TensorRT("tensorrt", "10.3.0", Hashable(module), capabilities("tensorrt", "10.3.0"))


class Hashable:
    """A module can be a dictionary's key; a SimpleNamespace cannot."""

    def __init__(self, module: SimpleNamespace) -> None:
        self.__dict__.update(vars(module))
