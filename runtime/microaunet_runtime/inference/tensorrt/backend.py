"""TensorRT and TensorRT-RTX: an engine of a bundle on the GPU, with its own buffers and stream."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...bundle import Bundle
from ...errors import InputError, MicroAUNetError
from ..backend import Outputs
from ..cuda import Context, GraphContext, HostMemory, provider
from . import engines
from .logger import heard, last_errors, logger
from .versions import TensorRT, installed

WARM_UP = 3  # runs before the capture: the first ones load kernels and allocate, which a graph cannot hold


@dataclass(frozen=True)
class _Tensor:
    """An input or output: host memory, the same memory as an array, and the address that the engine uses."""

    host: HostMemory
    array: np.ndarray
    address: int


class TensorRTBackend:
    """One engine with one stream and, where possible, one CUDA graph.

    On an integrated GPU the buffers are mapped memory that CPU and GPU share, and nothing is copied. On a
    discrete one they are pinned and copied asynchronously on the stream. The device's primary context is
    current only during a call, so that sessions in several threads do not meet.

    Attributes:
        note: how frames are enqueued: as a CUDA graph, or plainly and why.
        layers: of the engine as it was built, after fusion, as TensorRT's inspector lists them.
    """

    name = "tensorrt"

    def __init__(
        self, trt: TensorRT, engine: bytes, source: str, precision: str, height: int, width: int
    ) -> None:
        """Load ``engine``, the bytes of the file that ``source`` names in errors.

        Raises:
            InputError: TensorRT cannot load it, or it takes and gives something else than the contract.
            MissingDependencyError: no CUDA binding is installed.
            CudaError: there is no driver or no GPU, or it refused a call.
        """
        self.precision = precision
        self._trt = trt
        self._source = source
        binding = provider()
        self._copies = not binding.device().integrated
        self._graph: int | None = None
        self._resources = ExitStack()
        self._cuda: Context | None = binding.context()
        try:
            with self._cuda.current(), heard(trt):
                self._load(self._cuda, engine, source, height, width)
                self.layers = self._count_layers()
                self.note = self._capture(self._cuda)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, bundle: Bundle, precision: str | None, threads: int) -> TensorRTBackend:
        """Load the fastest verified engine of ``precision`` (None: of any) that was built for this device.

        Raises:
            InputError: the bundle has none, or the file has changed.
            MissingDependencyError: TensorRT or a CUDA binding is not installed.
            CudaError: there is no driver or no GPU.
        """
        trt = installed()
        found = engines.find(bundle, precision, trt, provider().device())
        manifest = bundle.manifest
        source = str(found.path)
        return cls(trt, found.read(), source, found.facts.precision, manifest.height, manifest.width)

    @staticmethod
    def unavailable(bundle: Bundle, precision: str | None) -> str:
        """Why this backend cannot run ``precision`` of ``bundle`` here; empty when it can."""
        if not engines.kept(bundle):  # said before TensorRT is imported, which takes a second
            return f"the bundle has no engine: microaunet-build --bundle {bundle.folder} makes one"
        try:
            device = provider().device()  # asked first: without a GPU, TensorRT's 80 MB stay on disk
            engines.find(bundle, precision, installed(), device)
        except MicroAUNetError as error:
            return str(error)
        return ""

    def infer(self, frame: np.ndarray) -> Outputs:
        """The outputs for a frame uint8 (1, H, W, 3) RGB, in arrays that the next call overwrites.

        Raises:
            InputError: the backend was closed.
            MicroAUNetError: TensorRT or CUDA failed.
        """
        cuda = self._held()
        with cuda.current():
            np.copyto(self._frame.array, frame)
            self._put(cuda)
            cuda.synchronize(self._stream)
        return Outputs(**{name: tensor.array for name, tensor in self._outputs.items()})

    def gpu_ms(self, frame: np.ndarray) -> float:
        """Run uint8 (1, H, W, 3); milliseconds that the GPU took, between two CUDA events around its work.

        Raises:
            As :meth:`infer`.
        """
        cuda = self._held()
        with cuda.current(), ExitStack() as events:
            before, after = (cuda.create_event() for _ in range(2))
            for event in (before, after):
                events.callback(cuda.destroy_event, event)
            np.copyto(self._frame.array, frame)
            cuda.record(before, self._stream)
            self._put(cuda)
            cuda.record(after, self._stream)
            cuda.synchronize(self._stream)
            return cuda.elapsed_ms(before, after)

    def gpu_check(self) -> str:
        """NVIDIA's own command that measures what :meth:`gpu_ms` does, without copies."""
        return engines.trtexec(self._trt, self._source)

    def close(self) -> None:
        """Free the engine, its buffers and its stream. Closing twice is fine."""
        cuda, self._cuda = self._cuda, None
        if cuda is not None:
            with cuda.current():
                self._resources.close()

    def _held(self) -> Context:
        if self._cuda is None:
            raise InputError("this session was closed: open another one")
        return self._cuda

    def _load(self, cuda: Context, content: bytes, source: str, height: int, width: int) -> None:
        self._stream = cuda.create_stream()
        self._resources.callback(cuda.destroy_stream, self._stream)
        title = self._trt.title
        runtime = _made(lambda: self._trt.module.Runtime(logger(self._trt)), f"{title} does not start", "")
        engine = _made(
            lambda: runtime.deserialize_cuda_engine(content), f"{title} cannot load {source}", engines.REBUILD
        )
        _check_contract(self._trt, engine, source, height, width)
        context = _made(
            engine.create_execution_context, f"{title} has no room to run {source}", "free memory"
        )
        self._frame = self._tensor(cuda, (1, height, width, 3), np.uint8)
        self._outputs = {
            "probability": self._tensor(cuda, (1, 1, height, width), np.float32),
            "mask": self._tensor(cuda, (1, 1, height, width), np.uint8),
            "presence": self._tensor(cuda, (1,), np.float32),
        }
        for name, tensor in {"frame": self._frame, **self._outputs}.items():
            context.set_tensor_address(name, tensor.address)
        self._engine: tuple[Any, ...] = (context, engine, runtime)
        self._resources.callback(self._unload)

    def _unload(self) -> None:
        # TensorRT wants its objects to go in this order: context, engine, runtime.
        while self._engine:
            self._engine = self._engine[1:]

    def _tensor(self, cuda: Context, shape: tuple[int, ...], dtype: type[np.generic]) -> _Tensor:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        host = cuda.pin(nbytes, mapped=not self._copies)
        self._resources.callback(cuda.unpin, host)
        address = host.device_address
        if self._copies:
            address = cuda.allocate(nbytes)
            self._resources.callback(cuda.free, address)
        return _Tensor(host, host.array.view(dtype).reshape(shape), address)

    def _count_layers(self) -> int:
        inspector = self._engine[1].create_engine_inspector()
        described = inspector.get_engine_information(self._trt.module.LayerInformationFormat.JSON)
        return len(json.loads(described)["Layers"])

    def _put(self, cuda: Context) -> None:
        """Enqueue one frame's work on the stream, as a CUDA graph if there is one."""
        if self._graph is not None and isinstance(cuda, GraphContext):
            cuda.launch(self._graph, self._stream)
        else:
            self._enqueue(cuda)

    def _enqueue(self, cuda: Context) -> None:
        context = self._engine[0]
        if self._copies:
            cuda.copy_to_device(self._frame.address, self._frame.host, self._stream)
        try:
            accepted = context.execute_async_v3(self._stream)
        except RuntimeError as error:
            raise MicroAUNetError(f"{self._trt.title} could not run a frame: {error}") from error
        if not accepted:
            raise MicroAUNetError(f"{self._trt.title} could not run a frame: {last_errors()}")
        if self._copies:
            for output in self._outputs.values():
                cuda.copy_to_host(output.host, output.address, self._stream)

    def _capture(self, cuda: Context) -> str:
        """Warm up and capture a CUDA graph if possible; returns how frames are enqueued, in a phrase."""
        for _ in range(WARM_UP):
            self._enqueue(cuda)
            cuda.synchronize(self._stream)
        if not isinstance(cuda, GraphContext):
            return "enqueued plainly: pycuda has no CUDA graphs, cuda-bindings has"
        try:
            cuda.begin_capture(self._stream)
            try:
                self._enqueue(cuda)
            finally:
                graph = cuda.end_capture(self._stream)
            self._resources.callback(cuda.destroy_graph, graph)
            cuda.launch(graph, self._stream)
            cuda.synchronize(self._stream)
        except MicroAUNetError as error:
            self._enqueue(cuda)  # the stream must still work; if it does not, the session must not open
            cuda.synchronize(self._stream)
            return f"enqueued plainly: no CUDA graph could be captured ({error})"
        self._graph = graph
        return "enqueued as a CUDA graph"


def _made(make: Callable[[], Any], failure: str, remedy: str) -> Any:
    """The result of ``make``. When TensorRT fails, its bindings return None or raise, depending on the call.

    Raises:
        InputError: TensorRT failed; the message gives its reason.
    """
    try:
        made = make()
        reason = last_errors()
    except (TypeError, RuntimeError) as error:
        made, reason = None, f"{last_errors()}; {error}"
    if made is None:
        raise InputError(f"{failure} ({reason})" + (f": {remedy}" if remedy else ""))
    return made


def _check_contract(trt: TensorRT, engine: Any, source: str, height: int, width: int) -> None:
    kinds = trt.module.DataType
    modes = trt.module.TensorIOMode
    expected = {
        "frame": (modes.INPUT, kinds.UINT8, (1, height, width, 3)),
        "probability": (modes.OUTPUT, kinds.FLOAT, (1, 1, height, width)),
        "mask": (modes.OUTPUT, kinds.UINT8, (1, 1, height, width)),
        "presence": (modes.OUTPUT, kinds.FLOAT, (1,)),
    }
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {
        name: (
            engine.get_tensor_mode(name),
            engine.get_tensor_dtype(name),
            tuple(engine.get_tensor_shape(name)),
        )
        for name in names
    }
    if found != expected:
        raise InputError(
            f"{source} takes and gives {found}, the bundle's contract is {expected}: {engines.REBUILD}"
        )
