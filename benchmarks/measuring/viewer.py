"""A viewer who looks at the live page, leaves and comes back."""

from __future__ import annotations

import http.client
import threading

PICTURES = 50  # of one visit
_AWAY_S = 0.5
_TIMEOUT_S = 30.0


class Viewer:
    """Visits the page at ``port`` of this machine until :meth:`leave`.

    Attributes:
        pictures: JPEGs received.
        visits: visits begun.
        failures: visits that ended before all pictures had come.
    """

    def __init__(self, port: int) -> None:
        self.pictures = self.visits = self.failures = 0
        self._port = port
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._visit_often, name="viewer", daemon=True)
        self._thread.start()

    def leave(self) -> None:
        """End the current visit, and do not come back."""
        self._leaving.set()
        self._thread.join(2 * _TIMEOUT_S)

    def _visit_often(self) -> None:
        while not self._leaving.wait(_AWAY_S):
            self.visits += 1
            try:
                self._visit()
            except (OSError, http.client.HTTPException, ValueError):
                self.failures += 1

    def _visit(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", "/video")
            answer = connection.getresponse()
            for _ in range(PICTURES):
                if self._leaving.is_set():
                    break
                if not _picture(answer).startswith(b"\xff\xd8"):
                    raise ValueError("no JPEG")
                self.pictures += 1
        finally:
            connection.close()


def _picture(answer: http.client.HTTPResponse) -> bytes:
    """The next part of a multipart response."""
    length = 0
    while line := answer.readline():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif line == b"\r\n" and length:
            return answer.read(length)
    raise ValueError("the stream has ended")
