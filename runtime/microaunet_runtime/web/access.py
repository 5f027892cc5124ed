"""Who may see the page, and what a browser may do with it.

The page shows the inside of a person, so by default it is private: without a token only requests to
this machine's own names are answered (another site that points its name here gets nothing), and beyond
this machine every viewer needs the token. No other page may embed it, read it, or press its buttons.
"""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_WITHOUT_TOKEN = frozenset({"/page.css", "/icon.svg"})  # what the page that asks for it looks like

HEADERS = {
    # Nothing but what this server itself serves; no inline script or style, no frame around it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Access:
    """Admits permitted requests, and sets :data:`HEADERS` on every response.

    Args:
        token: what every viewer must send: once in the address (``/?token=...``), which sets a cookie, or as
            ``Authorization: Bearer``. None: none is needed, and only this machine's own names are answered.
        cookie: the cookie's name.
        login: the page that asks for the token.
    """

    def __init__(self, app: ASGIApp, token: str | None, cookie: str, login: bytes) -> None:
        self._app = app
        self._token = token
        self._cookie = cookie
        self._login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._token is None and urlsplit(f"//{host}").hostname not in LOOPBACK_NAMES:
            return PlainTextResponse("This page is for this machine only.", 403)
        if scope["method"] != "GET" and not _same_origin(headers, host):
            return PlainTextResponse("Only the page itself may do this.", 403)
        if self._token is None or scope["path"] in _WITHOUT_TOKEN:
            return None
        given = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token", "")
        if scope["path"] == "/" and self._is_token(given):
            # Out of the address, which stays in the history and is shown to whoever stands near.
            entered = RedirectResponse("/", 303)
            entered.set_cookie(self._cookie, given, httponly=True, samesite="lax")
            return entered
        shown = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if self._is_token(shown) or (scheme.lower() == "bearer" and self._is_token(bearer)):
            return None
        if scope["path"] != "/":
            return PlainTextResponse("A token is needed.", 401, {"WWW-Authenticate": "Bearer"})
        return Response(self._login, 401, media_type="text/html")

    def _is_token(self, given: str) -> bool:
        assert self._token is not None
        return hmac.compare_digest(given.encode(), self._token.encode())


def _same_origin(headers: Headers, host: str) -> bool:
    """Whether a request comes from this page itself, or from no page at all."""
    origin = headers.get("origin")
    return (origin is None or urlsplit(origin).netloc == host) and headers.get(
        "sec-fetch-site", "same-origin"
    ) in ("same-origin", "none")
