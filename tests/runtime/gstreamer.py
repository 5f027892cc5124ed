"""The system's OpenCV, which has GStreamer where pip's has none: code runs in it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import microaunet_runtime

PYTHON = "/usr/bin/python3"
HERE = Path(__file__).parent
RUNTIME = Path(microaunet_runtime.__file__).parent.parent
NEEDS = """
import cv2
assert cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER)
"""


def run_with_gstreamer(code: str, *arguments: object, elements: tuple[str, ...] = ()) -> str:
    """What ``code`` prints in the system's Python, which can import the runtime and the tests' modules.

    Skips the test where that Python's OpenCV has no GStreamer, or GStreamer lacks one of ``elements``.
    """
    environment = {**os.environ, "PYTHONPATH": f"{RUNTIME}:{HERE}", "OPENCV_LOG_LEVEL": "ERROR"}

    def run(script: str, *given: str) -> subprocess.CompletedProcess[str]:
        command = [PYTHON, "-c", script, *given]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)

    if sys.platform != "linux" or not Path(PYTHON).exists() or run(NEEDS).returncode:
        pytest.skip("no OpenCV with GStreamer: apt install python3-opencv")
    for element in elements:
        found = subprocess.run(["sh", "-c", f"gst-inspect-1.0 --exists {element}"], capture_output=True)
        if found.returncode:
            pytest.skip(f"GStreamer has no {element}: apt install gstreamer1.0-tools and its plugins")
    done = run(code, *map(str, arguments))
    assert done.returncode == 0, done.stderr
    return done.stdout
