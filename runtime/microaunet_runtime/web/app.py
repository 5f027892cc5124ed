"""The server's responses: the page, the pictures, the numbers, and the buttons."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..errors import InputError
from .access import Access
from .live_page import TICK_S, LivePage

STILL_S = 1.0
"""Seconds until an unchanged picture is sent again, by which a closed browser is noticed."""

_MOST_BYTES = 1024  # of what a button sends
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


class LiveApp:
    """The routes of one page.

    Args:
        page: what is shown.
    """

    def __init__(self, page: LivePage) -> None:
        self._page = page
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="live page")
        self._message: dict[str, Any] = {}
        self._ticked = asyncio.Event()

    def asgi(self, token: str | None, cookie: str) -> Starlette:
        """The application, for a server that runs it in one loop."""
        routes = [
            Route("/", _file("index.html")),
            *(Route(f"/{name}", _file(name)) for name in ("page.js", "page.css", "icon.svg")),
            Route("/video", self._video),
            Route("/status", self._status),
            Route("/operating-point", self._set_operating_point, methods=["POST"]),
            Route("/recording", self._set_recording, methods=["POST"]),
            Route("/snapshot", self._snapshot, methods=["POST"]),
        ]
        guard = Middleware(Access, token=token, cookie=cookie, login=_content("login.html"))
        return Starlette(routes=routes, middleware=[guard], lifespan=self._life)

    @contextlib.asynccontextmanager
    async def _life(self, app: Starlette) -> AsyncIterator[None]:
        self._page.frames.bind()
        ticking = asyncio.create_task(self._tick())
        yield
        ticking.cancel()
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _tick(self) -> None:
        """Update the figures once for all viewers."""
        while True:
            self._message = self._page.tick()
            self._ticked.set()
            self._ticked = asyncio.Event()
            await asyncio.sleep(TICK_S)

    async def _video(self, request: Request) -> Response:
        overlay = request.query_params.get("overlay") != "off"
        return StreamingResponse(
            self._pictures(overlay), media_type="multipart/x-mixed-replace; boundary=picture"
        )

    async def _pictures(self, overlay: bool) -> AsyncIterator[bytes]:
        frames = self._page.frames
        number = 0
        frames.viewers += 1
        try:
            yield b"--picture\r\n"
            while True:
                picture = await frames.after(number, STILL_S)
                if picture:
                    number = picture.number
                    jpeg = await picture.jpeg(self._pool, overlay=overlay)
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                    # The next boundary at once: browsers show a picture when they see where it ends.
                    yield head + jpeg + b"\r\n--picture\r\n"
                if frames.closed:
                    return
        finally:
            frames.viewers -= 1

    async def _status(self, request: Request) -> Response:
        return StreamingResponse(self._numbers(), media_type="text/event-stream")

    async def _numbers(self) -> AsyncIterator[str]:
        yield f"event: history\ndata: {json.dumps(self._page.history())}\n\n"
        while True:
            message = self._message
            yield f"data: {json.dumps(message)}\n\n"
            if message.get("ended"):
                return
            await self._ticked.wait()

    async def _set_operating_point(self, request: Request) -> Response:
        def apply(value: Any) -> None:
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
                raise InputError("give a number from 0 to 1")
            self._page.set_operating_point(value)

        return await _apply(request, "value", apply)

    async def _set_recording(self, request: Request) -> Response:
        def apply(on: Any) -> None:
            if not isinstance(on, bool):
                raise InputError("give true or false")
            self._page.record(on)

        return await _apply(request, "on", apply)

    async def _snapshot(self, request: Request) -> Response:
        try:
            name, content = await asyncio.get_running_loop().run_in_executor(self._pool, self._page.snapshot)
        except InputError as error:
            return JSONResponse({"error": str(error)}, 409)
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type="image/png", headers=disposition)


async def _apply(request: Request, key: str, apply: Callable[[Any], None]) -> Response:
    """Hand the value under ``key`` of a request's JSON to ``apply``; a refusal becomes the response."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            return JSONResponse({"error": "too much"}, 413)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return JSONResponse({"error": "not JSON"}, 400)
    try:
        if not isinstance(content, dict) or set(content) != {key}:
            raise InputError(f"give an object with {key!r} alone")
        apply(content[key])
    except InputError as error:
        return JSONResponse({"error": str(error)}, 422)
    return JSONResponse({})


def _file(name: str) -> Callable[[Request], Response]:
    content = _content(name)
    media_type = _TYPES[name.rpartition(".")[2]]

    def answer(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return answer


def _content(name: str) -> bytes:
    return (files(__package__) / "page" / name).read_bytes()
