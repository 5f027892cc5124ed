"""The page's server: an address of this machine, a thread, and an end."""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket
import threading

import uvicorn

from ..errors import InputError, MicroAUNetError
from .app import LiveApp
from .live_page import LivePage

LEAST_TOKEN = 12
"""Least number of characters of a token that a user chose."""

MOST_CONNECTIONS = 256
"""More connections are refused (503): a page takes two, and a board has other work."""

# A viewer that stops responding, such as a phone that left the network, is disconnected after this time.
# Little is buffered for a slow viewer, so that it does not lag by seconds.
_SILENT_MS = 10_000
_SEND_BUFFER = 256 << 10
_START_S = 10.0
_END_S = 5.0


class LiveServer:
    """Serves a page from a thread of its own, from :meth:`start` to :meth:`stop`.

    Making one takes the address, so that a run that cannot be shown does not begin.

    Args:
        address: ``[HOST:]PORT``; without a host this machine alone can see the page. Port 0 is any free one.
        token: what viewers must send. Without one, none is needed on this machine, and a random one is made
            for other machines.

    Raises:
        InputError: no such address on this machine, the port is taken or reserved, or the token too short.
    """

    def __init__(self, address: str, token: str | None = None) -> None:
        if token is not None and len(token) < LEAST_TOKEN:
            raise InputError(f"the token has {len(token)} characters: give at least {LEAST_TOKEN}")
        host, port = parse_address(address)
        self._socket = _listen(host, port)
        bound = self._socket.getsockname()
        self.port: int = bound[1]
        open_to_others = not ipaddress.ip_address(bound[0]).is_loopback
        self.token = token or (secrets.token_urlsafe(16) if open_to_others else None)
        # Of whoever listens everywhere the name says more than 0.0.0.0.
        everywhere = ipaddress.ip_address(bound[0]).is_unspecified
        name = socket.gethostname() if everywhere else host
        self.url = f"http://{f'[{name}]' if ':' in name else name}:{self.port}/"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._page: LivePage | None = None

    @property
    def entrance(self) -> str:
        """The address to open, with the token."""
        return self.url if self.token is None else f"{self.url}?token={self.token}"

    def start(self, page: LivePage) -> None:
        """Show ``page``; returns when viewers are answered."""
        self._page = page
        app = LiveApp(page)
        config = uvicorn.Config(
            lambda: app.asgi(self.token, f"microaunet-{self.port}"),
            factory=True,
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="live page", daemon=True
        )
        self._thread.start()
        waited = threading.Event()
        for _ in range(round(_START_S / 0.02)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waited.wait(0.02)
        raise MicroAUNetError("the live page's server did not start")

    def stop(self) -> None:
        """Tell viewers that the run has ended, and release the address. Stopping twice is fine."""
        if self._page:
            self._page.frames.close()
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(_END_S)
        self._socket.close()


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``[HOST:]PORT``; an IPv6 address stands in brackets.

    Raises:
        InputError: the text is neither.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not port.isdecimal() or int(port) > 65535 or (colon and not host) or (":" in host and text[0] != "["):
        raise InputError(f"--serve {text!r}: give PORT or HOST:PORT, such as 8080 or 0.0.0.0:8080")
    return host or "127.0.0.1", int(port)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, bound = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(bound[:2], family=family)
    except (OSError, UnicodeError) as error:
        code = getattr(error, "errno", None)
        why = {
            errno.EADDRINUSE: "the port is taken by another program: choose another one",
            errno.EACCES: "the port is reserved for the system: choose one above 1023",
            errno.EADDRNOTAVAIL: "this machine has no such address",
        }.get(code if isinstance(code, int) else 0, f"no address of this machine ({error})")
        raise InputError(f"--serve {host}:{port}: {why}") from error
    # What is accepted from it inherits both.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENT_MS)
    return listening
