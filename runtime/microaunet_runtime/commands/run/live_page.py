"""The live page of a run: its server, where what it needs is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...optional import require

if TYPE_CHECKING:
    from ...web.server import LiveServer


def open_server(address: str, token: str | None) -> LiveServer:
    """A server at ``address``, ``[HOST:]PORT``; it shows nothing yet.

    Raises:
        InputError: it cannot listen there.
        MissingDependencyError: the extra ``web`` is not installed.
    """
    for module in ("starlette", "uvicorn"):
        require(module, "the live page needs it; pip install 'microaunet[web]'")
    from ...web.server import LiveServer

    return LiveServer(address, token)
