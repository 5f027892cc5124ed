"""A run with its live page in this process, and a browser's requests to it."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from redness import polyp_frame
from stream_server import wait_for

from microaunet_runtime import open_session
from microaunet_runtime.stream.events import Events
from microaunet_runtime.stream.operating_point import OperatingPoint
from microaunet_runtime.stream.pipeline import Pipeline
from microaunet_runtime.stream.sinks.files import OverlayVideo
from microaunet_runtime.stream.sinks.recording import Recording
from microaunet_runtime.stream.sources.frame import Source
from microaunet_runtime.stream.sources.live import LiveSource
from microaunet_runtime.web.live_page import LivePage
from microaunet_runtime.web.server import LiveServer


@dataclass
class Shown:
    """A run that a page shows."""

    server: LiveServer
    page: LivePage
    folder: Path
    point: OperatingPoint
    recording: Recording
    pipeline: Pipeline
    events: Events
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case, and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            content = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, content, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return (
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read(),
            )
        finally:
            connection.close()

    def stream(self, path: str) -> Stream:
        """An answer that does not end."""
        return Stream(self.server.port, path, self.headers)


class Stream:
    """Reads ``/video`` or ``/status`` piece by piece."""

    def __init__(self, port: int, path: str, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        self._connection.request("GET", path, headers=headers)
        self.answer = self._connection.getresponse()

    def picture(self) -> bytes:
        """The next JPEG."""
        while not (line := self.answer.readline()).lower().startswith(b"content-length"):
            assert line, "the stream has ended"
        length = int(line.split(b":")[1])
        while self.answer.readline() != b"\r\n":
            pass
        return self.answer.read(length)

    def message(self) -> Any:
        """The data of the next event, whatever its name."""
        while not (line := self.answer.readline()).startswith(b"data:"):
            assert line, "the stream has ended"
        return json.loads(line.removeprefix(b"data:"))

    def until(self, condition: Any, seconds: float = 10) -> Any:
        """The first message for which ``condition`` holds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            message = self.message()
            if isinstance(message, dict) and condition(message):
                return message
        raise AssertionError("no such message came")

    def close(self) -> None:
        self.answer.close()
        self._connection.close()


class Camera:
    """A disc that wanders, 25 times a second, until ``unplugged`` is set; then it gives nothing."""

    fps: float | None = 25.0
    endless = True

    def __init__(self, height: int = 120, width: int = 160) -> None:
        self.unplugged = threading.Event()
        self._pictures = [polyp_frame(height, width, 20 + width // 40 * i, 50, 20, i) for i in range(20)]
        self._turn = 0

    def read(self) -> np.ndarray | None:
        if self.unplugged.wait(0.04):
            return None
        self._turn += 1
        return self._pictures[self._turn % len(self._pictures)][..., ::-1].copy()

    def release(self) -> None:
        pass


def camera(**size: int) -> LiveSource:
    """A live source that is a :class:`Camera`."""
    each = Camera(**size)
    return LiveSource("camera:0", lambda: each, Events())


@contextmanager
def shown(
    source: Source,
    bundle: Path,
    folder: Path,
    events: Events | None = None,
    address: str = "0",
    token: str | None = None,
) -> Iterator[Shown]:
    """A run over ``source`` with a page, until the context ends."""
    events = events or Events()
    point = OperatingPoint(0.5)
    recording = Recording(OverlayVideo(folder, "overlay", source.fps, 60.0), on=False)
    server = LiveServer(address, token)
    page = LivePage(source.title, "tiny", folder, events, point, recording, 1 / (source.fps or 25))
    server.start(page)
    pipeline = Pipeline(
        source,
        lambda: open_session(bundle, backend="onnxruntime"),
        [recording, page],
        events=events,
        operating_point=point,
    )
    running = threading.Thread(target=pipeline.run)
    running.start()
    try:
        wait_for(lambda: page.frames.latest, 60)
        yield Shown(server, page, folder, point, recording, pipeline, events)
    finally:
        pipeline.stop()
        running.join(20)
        server.stop()
        assert not running.is_alive()
