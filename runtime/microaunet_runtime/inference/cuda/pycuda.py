"""CUDA through pycuda: compiled on the device, without CUDA graphs."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
import pycuda.driver as driver

from . import CudaError, Device, HostMemory

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, which pycuda does not name


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except driver.Error as error:
        raise CudaError(f"CUDA refused a call: {error}") from error


def _init() -> None:
    with _explained():
        driver.init()
        if driver.Device.count() == 0:
            raise CudaError(
                "the CUDA driver finds no GPU: nvidia-smi (PC) or tegrastats (Jetson) should show one"
            )


class _Provider:
    name = "pycuda"

    def device(self) -> Device:
        _init()
        with _explained():
            gpu = driver.Device(0)
            version = driver.get_driver_version()
            return Device(
                name=gpu.name(),
                compute_capability=gpu.compute_capability(),
                multiprocessors=gpu.get_attribute(driver.device_attribute.MULTIPROCESSOR_COUNT),
                memory_mb=gpu.total_memory() >> 20,
                integrated=bool(gpu.get_attribute(driver.device_attribute.INTEGRATED)),
                cuda=f"{version // 1000}.{version % 1000 // 10}",
            )

    def context(self) -> _Context:
        with _LOCK:
            return _primary()


_LOCK = threading.Lock()  # two sessions that open at once must not make the context twice


@cache
def _primary() -> _Context:
    _init()
    # pycuda cannot set the flags; a driver that refuses or hides the call leaves a context that waits longer.
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libcuda.so.1").cuDevicePrimaryCtxSetFlags_v2(0, driver.ctx_flags.SCHED_SPIN)
    with _explained():
        return _Context(driver.Device(0).retain_primary_context())


class _Context:
    """pycuda frees an object when its Python object goes: the objects behind the handles are kept here."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._streams: dict[int, Any] = {}
        self._events: dict[int, Any] = {}
        self._allocations: dict[int, Any] = {}

    @contextmanager
    def current(self) -> Iterator[None]:
        with _explained():
            self._context.push()
        try:
            yield
        finally:
            driver.Context.pop()

    def create_stream(self) -> int:
        with _explained():
            stream = driver.Stream(_NON_BLOCKING)
        self._streams[stream.handle] = stream
        return int(stream.handle)

    def destroy_stream(self, stream: int) -> None:
        del self._streams[stream]

    def synchronize(self, stream: int) -> None:
        with _explained():
            self._streams[stream].synchronize()

    def create_event(self) -> int:
        with _explained():
            event = driver.Event()
        self._events[id(event)] = event
        return id(event)

    def destroy_event(self, event: int) -> None:
        del self._events[event]

    def record(self, event: int, stream: int) -> None:
        with _explained():
            self._events[event].record(self._streams[stream])

    def elapsed_ms(self, start: int, end: int) -> float:
        with _explained():
            return float(self._events[end].time_since(self._events[start]))

    def pin(self, nbytes: int, *, mapped: bool) -> HostMemory:
        flags = driver.host_alloc_flags.DEVICEMAP if mapped else 0
        with _explained():
            array = driver.pagelocked_empty(nbytes, np.uint8, mem_flags=flags)
            array[:] = 0
            return HostMemory(array, int(array.base.get_device_pointer()) if mapped else 0)

    def unpin(self, memory: HostMemory) -> None:
        base: Any = memory.array.base
        with _explained():
            base.free()

    def allocate(self, nbytes: int) -> int:
        with _explained():
            allocation = driver.mem_alloc(nbytes)
        self._allocations[int(allocation)] = allocation
        return int(allocation)

    def free(self, address: int) -> None:
        with _explained():
            self._allocations.pop(address).free()

    def copy_to_device(self, address: int, memory: HostMemory, stream: int) -> None:
        with _explained():
            driver.memcpy_htod_async(address, memory.array, self._streams[stream])

    def copy_to_host(self, memory: HostMemory, address: int, stream: int) -> None:
        with _explained():
            driver.memcpy_dtoh_async(memory.array, address, self._streams[stream])


PROVIDER = _Provider()
