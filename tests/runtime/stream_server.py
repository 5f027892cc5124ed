"""A camera on the network, on loopback: one JPEG after the other over HTTP, with a real one's troubles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np


def jpeg(image: np.ndarray) -> bytes:
    """An RGB image as JPEG bytes."""
    return bytes(cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]))[1].tobytes())


class StreamServer:
    """Serves what ``frames`` yields to every connection.

    Args:
        frames: called with the connection's number (0, 1, ...); yields one picture's bytes after the other.
            When it returns the connection is closed.
        fps: pictures per second.
    """

    def __init__(self, frames: Callable[[int], Iterator[bytes]], fps: float = 50, port: int = 0) -> None:
        self.connections = 0
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                number = server.connections
                server.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    for content in frames(number):
                        head = (
                            f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n"
                        )
                        self.wfile.write(head.encode() + content + b"\r\n")
                        self.wfile.flush()
                        if server.closing.wait(1 / fps):
                            return
                except OSError:
                    return  # the reader went away

            def log_message(self, *arguments: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/stream"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stall(self) -> None:
        """Send nothing until the server closes: what a frames function calls to make its stream hang."""
        self.closing.wait(60)

    def close(self) -> None:
        """End all connections and free the port."""
        self.closing.set()
        self._http.shutdown()
        self._http.server_close()

    def __enter__(self) -> StreamServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until ``condition`` holds; AssertionError when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
