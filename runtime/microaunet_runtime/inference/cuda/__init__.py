"""The thin layer over CUDA: two providers behind one small protocol. Nothing else touches CUDA.

A provider is found by :func:`provider`: cuda-python first, because it has CUDA graphs, then pycuda. Handles
and addresses are plain integers, as TensorRT wants them. Every call but ``device`` and ``context`` needs the
context to be current on the calling thread: wrap it in ``with context.current():``.
"""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ...errors import MicroAUNetError, MissingDependencyError

REMEDY = (
    "install cuda-bindings of the driver's CUDA version: 'pip install \"cuda-bindings<13\"' for CUDA 12 "
    "(JetPack 6), 'pip install cuda-bindings' for CUDA 13 (JetPack 7); pycuda works too, without CUDA graphs"
)


class CudaError(MicroAUNetError):
    """The CUDA driver refused a call."""


@dataclass(frozen=True)
class Device:
    """The first GPU, as the driver describes it.

    Attributes:
        name: e.g. ``Orin``; all Orin boards share it, so ``multiprocessors`` is needed to tell them apart.
        compute_capability: e.g. ``(8, 7)``.
        multiprocessors: number of streaming multiprocessors.
        memory_mb: total memory in MiB; on a Jetson shared with the CPU.
        integrated: the GPU shares memory with the CPU.
        cuda: the CUDA version of the driver, e.g. ``12.6``.
    """

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory_mb: int
    integrated: bool
    cuda: str

    @property
    def title(self) -> str:
        """Name and number of multiprocessors, which distinguish this GPU from others."""
        return f"{self.name}, {self.multiprocessors} multiprocessors"


@dataclass(frozen=True)
class HostMemory:
    """Pinned memory: ``array`` is uint8 (nbytes,), ``device_address`` the GPU's, 0 when not mapped."""

    array: np.ndarray
    device_address: int


class Context(Protocol):
    """The device's primary context, one for the whole process. Handles are integers.

    Whoever calls ``allocate``, ``pin``, ``create_stream`` or ``create_event`` frees what it got.
    """

    def current(self) -> AbstractContextManager[None]: ...

    def create_stream(self) -> int: ...

    def destroy_stream(self, stream: int) -> None: ...

    def synchronize(self, stream: int) -> None: ...

    def create_event(self) -> int: ...

    def destroy_event(self, event: int) -> None: ...

    def record(self, event: int, stream: int) -> None:
        """Record the time at which the work enqueued so far on ``stream`` is done."""

    def elapsed_ms(self, start: int, end: int) -> float:
        """Milliseconds on the GPU between two recorded events that are complete."""
        ...

    def pin(self, nbytes: int, *, mapped: bool) -> HostMemory: ...

    def unpin(self, memory: HostMemory) -> None: ...

    def allocate(self, nbytes: int) -> int: ...

    def free(self, address: int) -> None: ...

    def copy_to_device(self, address: int, memory: HostMemory, stream: int) -> None: ...

    def copy_to_host(self, memory: HostMemory, address: int, stream: int) -> None: ...


@runtime_checkable
class GraphContext(Context, Protocol):
    """A context that can record work on a stream once and launch it again and again as one CUDA graph."""

    def begin_capture(self, stream: int) -> None:
        """From now on record what this thread enqueues on ``stream``, instead of running it."""

    def end_capture(self, stream: int) -> int:
        """The recorded graph, ready to launch. Must be called after a failure too."""
        ...

    def launch(self, graph: int, stream: int) -> None: ...

    def destroy_graph(self, graph: int) -> None: ...


class Provider(Protocol):
    """One way to reach the CUDA driver from Python.

    ``context`` gives the same object each time. The first call makes the device's primary context, with waits
    that spin: one that sleeps wakes up late, which counts at 0.3 ms a frame, and CUDA may choose it on a
    Jetson. It is kept until the process ends: a new one would have to load all kernels again.
    """

    name: str

    def device(self) -> Device: ...

    def context(self) -> Context: ...


PROVIDERS = ("cuda_python", "pycuda")


def provider() -> Provider:
    """The first provider whose package is installed.

    Raises:
        MissingDependencyError: none is; the message holds the remedy.
    """
    failures = []
    for name in PROVIDERS:
        try:
            module = importlib.import_module(f".{name}", __name__)
        except ImportError as error:
            failures.append(str(error))
            continue
        found: Provider = module.PROVIDER
        return found
    raise MissingDependencyError(f"no CUDA binding for Python is installed ({'; '.join(failures)}): {REMEDY}")


def device() -> Device:
    """The GPU of this machine.

    Raises:
        MissingDependencyError: no provider is installed.
        CudaError: there is no driver or no GPU.
    """
    return provider().device()
