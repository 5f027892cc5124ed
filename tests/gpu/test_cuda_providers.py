"""Buffers, streams and graphs on a real GPU, for every CUDA binding that is installed."""

from __future__ import annotations

import importlib
import threading

import numpy as np
import pytest

from microaunet_runtime.inference.cuda import PROVIDERS, Context, CudaError, Device, GraphContext, Provider

pytestmark = pytest.mark.gpu


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, gpu: Device) -> Provider:
    try:
        found: Provider = importlib.import_module(
            f"microaunet_runtime.inference.cuda.{request.param}"
        ).PROVIDER
    except ImportError as error:
        pytest.skip(f"not installed: {error}")
    return found


def round_trip(context: Context, values: np.ndarray) -> np.ndarray:
    """Send ``values`` to the device and back through pinned memory."""
    stream = context.create_stream()
    sent, received = (context.pin(values.nbytes, mapped=False) for _ in range(2))
    address = context.allocate(values.nbytes)
    sent.array[:] = values
    context.copy_to_device(address, sent, stream)
    context.copy_to_host(received, address, stream)
    context.synchronize(stream)
    result = received.array.copy()
    context.free(address)
    context.unpin(sent)
    context.unpin(received)
    context.destroy_stream(stream)
    return result


def test_the_device_is_described_alike(provider: Provider, gpu: Device) -> None:
    assert provider.device() == gpu
    assert gpu.memory_mb > 1000


def test_bytes_come_back_as_they_were_sent(provider: Provider) -> None:
    values = np.random.default_rng(0).integers(0, 256, 196_608).astype(np.uint8)
    context = provider.context()
    with context.current():
        np.testing.assert_array_equal(round_trip(context, values), values)


def test_mapped_memory_has_an_address_for_the_device(provider: Provider) -> None:
    context = provider.context()
    with context.current():
        memory = context.pin(4096, mapped=True)
        assert memory.device_address != 0
        assert not memory.array.any()
        context.unpin(memory)


def test_another_thread_can_use_the_context(provider: Provider) -> None:
    context = provider.context()
    values = np.arange(256, dtype=np.uint8)
    results: list[np.ndarray] = []

    def work() -> None:
        with context.current():
            results.append(round_trip(context, values))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result, values)


def test_a_graph_repeats_what_was_recorded(provider: Provider) -> None:
    context = provider.context()
    if not isinstance(context, GraphContext):
        pytest.skip(f"{provider.name} has no CUDA graphs")
    with context.current():
        stream = context.create_stream()
        sent, received = (context.pin(16, mapped=False) for _ in range(2))
        address = context.allocate(16)
        context.begin_capture(stream)
        context.copy_to_device(address, sent, stream)
        context.copy_to_host(received, address, stream)
        graph = context.end_capture(stream)
        for value in (7, 42):
            sent.array[:] = value
            context.launch(graph, stream)
            context.synchronize(stream)
            assert (received.array == value).all()
        context.destroy_graph(graph)
        context.free(address)
        context.unpin(sent)
        context.unpin(received)
        context.destroy_stream(stream)


def test_events_time_what_lies_between_them(provider: Provider) -> None:
    context = provider.context()
    with context.current():
        stream = context.create_stream()
        start, end = context.create_event(), context.create_event()
        memory = context.pin(64 << 20, mapped=False)
        address = context.allocate(64 << 20)
        context.record(start, stream)
        context.copy_to_device(address, memory, stream)
        context.record(end, stream)
        context.synchronize(stream)
        assert 0 < context.elapsed_ms(start, end) < 1000
        context.free(address)
        context.unpin(memory)
        for event in (start, end):
            context.destroy_event(event)
        context.destroy_stream(stream)


def test_waits_spin(provider: Provider) -> None:
    driver = pytest.importorskip("cuda.bindings.driver", reason="only cuda-bindings can tell")
    with provider.context().current():
        _, flags = driver.cuCtxGetFlags()
    assert flags & driver.CUctx_flags.CU_CTX_SCHED_MASK.value == driver.CUctx_flags.CU_CTX_SCHED_SPIN.value


def test_more_memory_than_there_is_is_refused_by_name(provider: Provider, gpu: Device) -> None:
    context = provider.context()
    with context.current(), pytest.raises(CudaError, match=r"(?i)out.of.memory"):
        context.allocate((gpu.memory_mb << 20) * 4)
