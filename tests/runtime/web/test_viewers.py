"""A thousand viewers who come and go leave nothing behind."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from pathlib import Path

import psutil
import pytest
from stream_server import wait_for

pytest.importorskip("onnxruntime")
pytest.importorskip("uvicorn")

from page_client import Shown, camera, shown


@pytest.mark.slow
def test_a_thousand_connects_and_disconnects_leave_nothing_behind(tiny_bundle: Path, tmp_path: Path) -> None:
    process = psutil.Process()

    def visit(run: Shown, number: int) -> None:
        stream = run.stream("/video" if number % 2 else "/status")
        if number % 20 == 1:
            stream.picture()
        stream.close()

    def held(run: Shown) -> tuple[int, int, int]:
        wait_for(lambda: run.page.frames.viewers == 0)
        gc.collect()
        if sys.platform.startswith("linux"):
            ctypes.CDLL(None).malloc_trim(0)
        return process.num_fds(), threading.active_count(), int(process.memory_info().rss)

    with shown(camera(), tiny_bundle, tmp_path) as run:
        for number in range(100):
            visit(run, number)
        files, threads, memory = held(run)
        for number in range(1000):
            visit(run, number)
        wait_for(lambda: process.num_fds() <= files)
        after = held(run)
        assert after[1] <= threads
        growth = after[2] - memory
        print(f"grew by {growth / 2**20:.2f} MiB")
        assert growth < 8 << 20, "8 kB for each viewer would be a leak"
