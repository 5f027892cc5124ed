"""A real RTSP server on loopback that can be switched off and on: GStreamer's, where the system has it."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PYTHON = "/usr/bin/python3"  # the system's: PyGObject and its type libraries come with it, not from pip
SERVER = Path(__file__).with_name("rtsp_server.py")
NEEDS = """
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(map(Gst.ElementFactory.find, ("videotestsrc", "videoconvert", "x264enc", "rtph264pay")))
"""


@contextmanager
def rtsp_camera() -> Iterator[tuple[str, Callable[[bool], None]]]:
    """The address of a camera, switched on, and a function that switches it.

    Skips the test where the system has no server.
    """
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", NEEDS], capture_output=True).returncode:
        pytest.skip("no RTSP server: apt install python3-gi gir1.2-gst-rtsp-server-1.0 and rtsp_server.py's")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running: list[subprocess.Popen[str]] = []

    def switch(on: bool) -> None:
        if not on:
            process = running.pop()
            process.kill()
            process.wait()
            return
        process = subprocess.Popen([PYTHON, str(SERVER), str(port)], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

    try:
        switch(True)
        yield f"rtsp://127.0.0.1:{port}/scope", switch
    finally:
        for process in running:
            process.kill()
            process.wait()
