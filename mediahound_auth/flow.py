"""The authentication flow of httpx-like libraries: what httpx calls around each request.

Both flows are written out, and not derived from `auth_flow`, since a call with a live token should
cost one generator and not two. No lock is held while a request is in flight, and nothing blocks in
the asynchronous one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from time import time
from typing import TYPE_CHECKING, Any, ClassVar

import anyio.lowlevel  # noqa: F401  # here, so that no event loop is held up by importing it
from anyio import to_thread

from mediahound_auth.auth import BearerAuth
from mediahound_auth.flight import Plan, drive, drive_async
from mediahound_auth.lifecycle import shows_acceptance
from mediahound_auth.origins import DEFAULT_PORTS, Origin
from mediahound_auth.settings import Settings
from mediahound_auth.token import Token

if TYPE_CHECKING:
    import httpx

__all__ = ["BearerFlow"]


class BearerFlow(BearerAuth):
    """Attaches the token, and replays a request once if its token is rejected."""

    _request_attribute = "_request"
    # The library's own kind of body that can be sent any number of times.
    _bytes_stream: ClassVar[type]

    def _start(self, settings: Settings) -> None:
        super()._start(settings)
        # What httpx keeps of the URLs of the allowed origins: scheme, user, host, port. Its public
        # properties make copies, and would cost more than all else in a call. Whatever is not in
        # here (another origin, another version of httpx) takes the public way.
        self._targets = frozenset(
            (scheme, "", host, None if DEFAULT_PORTS[scheme] == port else port)
            for scheme, host, port in settings.origins
        )

    async def atoken(self) -> Token:
        """`token()` for a task, on asyncio or trio.

        Raises:
            MediaHoundAuthError: there is none to be had; also the HTTP library's base error.
        """
        return await drive_async(self._source.live())

    async def arenew(self) -> Token:
        """`renew()` for a task, on asyncio or trio.

        Raises:
            MediaHoundAuthError: it gave none; the token at hand stays in use.
        """
        return await drive_async(self._source.renewed())

    async def aforget(self) -> None:
        """`forget()` for a task, on asyncio or trio: a store may take its time."""
        await to_thread.run_sync(self._source.forget)

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """What a synchronous client calls around each request, redirects within."""
        url = request.url
        if getattr(url, "_uri_reference", ())[:4] not in self._targets and not self._allows(url):
            yield request
            return
        renew_at, authorization, doubtful = self._cell.live
        if time() >= renew_at:
            authorization = drive(self._authorization(request))
        request.headers["Authorization"] = authorization
        start = None if type(request.stream) is self._bytes_stream else _position(request)
        response = yield request
        if response.status_code != 401:
            if doubtful:
                self._accepted(response, replayed=False)
            return
        if drive(self._remedy(response, start)):
            response = yield response.request
            self._accepted(response, replayed=True)

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """What an asynchronous client calls around each request, redirects within."""
        url = request.url
        if getattr(url, "_uri_reference", ())[:4] not in self._targets and not self._allows(url):
            yield request
            return
        renew_at, authorization, doubtful = self._cell.live
        if time() >= renew_at:
            authorization = await drive_async(self._authorization(request))
        request.headers["Authorization"] = authorization
        start = None if type(request.stream) is self._bytes_stream else _position(request)
        response = yield request
        if response.status_code != 401:
            if doubtful:
                self._accepted(response, replayed=False)
            return
        if await drive_async(self._remedy(response, start)):
            response = yield response.request
            self._accepted(response, replayed=True)

    def _allows(self, url: httpx.URL) -> bool:
        scheme, host, port = url.scheme, url.raw_host.decode("ascii"), url.port
        if scheme not in DEFAULT_PORTS or not host:
            return False  # the library will say what is wrong with it
        return self._source.allows(Origin(scheme, host, port or DEFAULT_PORTS[scheme]))

    def _remedy(self, response: httpx.Response, start: int | None) -> Plan[bool]:
        """Make the request that got this 401 fit to be sent again; False if that makes no sense.

        It is the last one after redirects, and the token may have been taken from it on the way.
        """
        request = response.request
        rejected = _carried(request)
        if not rejected or not self._allows(request.url):
            return False
        token = yield from self._source.replacement(rejected)
        if token is None or not _rewind(request, start):
            return False
        request.headers["Authorization"] = token.authorization
        if response.cookies:
            response.cookies.set_cookie_header(request)  # as DigestAuth does
        return True

    def _accepted(self, response: httpx.Response, *, replayed: bool) -> None:
        if shows_acceptance(response.status_code):
            self._source.accepted(_carried(response.request), replayed=replayed)


def _carried(request: httpx.Request) -> str:
    """The access token that `request` carries, or ''."""
    scheme, _, access_token = request.headers.get("Authorization", "").partition(" ")
    return access_token if scheme == "Bearer" else ""


def _body(request: httpx.Request) -> Any:
    # httpx keeps what it was given as `content=` here, and has no public name for it.
    return getattr(request.stream, "_stream", None)


def _position(request: httpx.Request) -> int | None:
    """Where the body starts, if it is a file that knows."""
    body = _body(request)
    if hasattr(body, "__aiter__") or not hasattr(body, "tell"):
        return None
    with suppress(OSError):
        return int(body.tell())
    return None


def _rewind(request: httpx.Request, start: int | None) -> bool:
    """Put the body back to its start; False if it cannot be sent again."""
    body = _body(request)
    if isinstance(body, bytes | list | tuple):
        return True
    if start is not None:
        with suppress(OSError, AttributeError):
            body.seek(start)
            return True
        return False
    # A multipart body rewinds its files itself, but sends nothing of those that cannot be.
    fields = getattr(request.stream, "fields", None)
    return fields is not None and all(_seekable(getattr(field, "file", b"")) for field in fields)


def _seekable(content: object) -> bool:
    if isinstance(content, str | bytes):
        return True
    seekable = getattr(content, "seekable", None)
    return callable(seekable) and bool(seekable())
