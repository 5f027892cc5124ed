"""CUDA through NVIDIA's cuda-python (the package cuda-bindings): the provider that has CUDA graphs."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
from cuda.bindings import driver

from . import CudaError, Device, HostMemory


def _call(function: Any, *arguments: Any) -> Any:
    """Call the driver; its result without the status.

    Raises:
        CudaError: the driver is missing or refused the call.
    """
    try:
        status, *result = function(*arguments)
    except Exception as error:  # without a driver the binding raises types of its own
        kind = type(error).__name__
        raise CudaError(f"no usable CUDA driver ({kind}): install the NVIDIA driver") from error
    if status != driver.CUresult.CUDA_SUCCESS:
        raise CudaError(f"CUDA refused {function.__name__}: {_explain(status)}")
    return result[0] if result else None


def _explain(status: Any) -> str:
    _, name = driver.cuGetErrorName(status)
    _, text = driver.cuGetErrorString(status)
    return f"{(name or b'unknown error').decode()} ({(text or b'').decode()})"


class _Provider:
    name = "cuda-python"

    def device(self) -> Device:
        _call(driver.cuInit, 0)
        if _call(driver.cuDeviceGetCount) == 0:
            raise CudaError(
                "the CUDA driver finds no GPU: nvidia-smi (PC) or tegrastats (Jetson) should show one"
            )
        handle = _call(driver.cuDeviceGet, 0)
        attributes = driver.CUdevice_attribute

        def attribute(which: Any) -> int:
            return int(_call(driver.cuDeviceGetAttribute, which, handle))

        version = int(_call(driver.cuDriverGetVersion))
        return Device(
            name=_call(driver.cuDeviceGetName, 128, handle).split(b"\0")[0].decode(),
            compute_capability=(
                attribute(attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                attribute(attributes.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
            ),
            multiprocessors=attribute(attributes.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            memory_mb=int(_call(driver.cuDeviceTotalMem, handle)) >> 20,
            integrated=bool(attribute(attributes.CU_DEVICE_ATTRIBUTE_INTEGRATED)),
            cuda=f"{version // 1000}.{version % 1000 // 10}",
        )

    def context(self) -> _Context:
        with _LOCK:
            return _primary()


_LOCK = threading.Lock()  # two sessions that open at once must not make the context twice


@cache
def _primary() -> _Context:
    _call(driver.cuInit, 0)
    device = _call(driver.cuDeviceGet, 0)
    # Refused only where a context of this process exists with other flags: it works, and may wait longer.
    with suppress(CudaError):
        _call(driver.cuDevicePrimaryCtxSetFlags, device, driver.CUctx_flags.CU_CTX_SCHED_SPIN.value)
    return _Context(_call(driver.cuDevicePrimaryCtxRetain, device))


class _Context:
    def __init__(self, context: Any) -> None:
        self._context = context

    @contextmanager
    def current(self) -> Iterator[None]:
        _call(driver.cuCtxPushCurrent, self._context)
        try:
            yield
        finally:
            _call(driver.cuCtxPopCurrent)

    def create_stream(self) -> int:
        return int(_call(driver.cuStreamCreate, driver.CUstream_flags.CU_STREAM_NON_BLOCKING.value))

    def destroy_stream(self, stream: int) -> None:
        _call(driver.cuStreamDestroy, stream)

    def synchronize(self, stream: int) -> None:
        _call(driver.cuStreamSynchronize, stream)

    def create_event(self) -> int:
        return int(_call(driver.cuEventCreate, driver.CUevent_flags.CU_EVENT_DEFAULT.value))

    def destroy_event(self, event: int) -> None:
        _call(driver.cuEventDestroy, event)

    def record(self, event: int, stream: int) -> None:
        _call(driver.cuEventRecord, event, stream)

    def elapsed_ms(self, start: int, end: int) -> float:
        return float(_call(driver.cuEventElapsedTime, start, end))

    def pin(self, nbytes: int, *, mapped: bool) -> HostMemory:
        address = int(_call(driver.cuMemHostAlloc, nbytes, driver.CU_MEMHOSTALLOC_DEVICEMAP if mapped else 0))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))
        array[:] = 0
        return HostMemory(array, int(_call(driver.cuMemHostGetDevicePointer, address, 0)) if mapped else 0)

    def unpin(self, memory: HostMemory) -> None:
        _call(driver.cuMemFreeHost, memory.array.ctypes.data)

    def allocate(self, nbytes: int) -> int:
        return int(_call(driver.cuMemAlloc, nbytes))

    def free(self, address: int) -> None:
        _call(driver.cuMemFree, address)

    def copy_to_device(self, address: int, memory: HostMemory, stream: int) -> None:
        _call(driver.cuMemcpyHtoDAsync, address, memory.array.ctypes.data, memory.array.nbytes, stream)

    def copy_to_host(self, memory: HostMemory, address: int, stream: int) -> None:
        _call(driver.cuMemcpyDtoHAsync, memory.array.ctypes.data, address, memory.array.nbytes, stream)

    def begin_capture(self, stream: int) -> None:
        # Thread-local: a global capture would break whatever other threads do with CUDA meanwhile.
        _call(
            driver.cuStreamBeginCapture,
            stream,
            driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL,
        )

    def end_capture(self, stream: int) -> int:
        graph = _call(driver.cuStreamEndCapture, stream)
        try:
            return int(_call(driver.cuGraphInstantiate, graph, 0))
        finally:
            _call(driver.cuGraphDestroy, graph)

    def launch(self, graph: int, stream: int) -> None:
        _call(driver.cuGraphLaunch, graph, stream)

    def destroy_graph(self, graph: int) -> None:
        _call(driver.cuGraphExecDestroy, graph)


PROVIDER = _Provider()
