"""Who is measured: what a case has to know of a library, our own adapters, a static header."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable
from importlib import import_module
from typing import Any, Literal, NamedTuple

import httpx
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from benchmarks.sessions import PATIENCE, plain_token
from mediahound_auth import httpx as ours_httpx
from mediahound_auth import requests as ours_requests
from mediahound_auth.testing import Credentials

Kind = Literal["requests", "httpx", "httpx async"]

OURS = "mediahound-auth"
STATIC = "static header"


class Queue(httpx.AsyncBaseTransport):
    """Lets few requests at a time into httpcore's pool, behind a transport of httpx or httpx2.

    Left alone with a thousand, it spends half a minute on deciding whose turn it is.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._room = asyncio.Semaphore(20)

    async def handle_async_request(self, request: Any) -> Any:
        async with self._room:
            return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


class Contender(NamedTuple):
    """One way of calling an API with a token.

    Attributes:
        name: the library, with its version if it is a peer.
        kind: the HTTP library that it works with.
        module: what a program imports to use it.
        make: credentials and time budget in, auth object out, or a session if `is_session`.
        is_session: it comes as a session (a client) of its own.
        fetch: what the caller does to get the token into such a session.
        auth: the auth object for the session's requests.
        leeway: seconds before the expiry at which it takes its token for expired.
    """

    name: str
    kind: Kind
    module: str
    make: Callable[[Credentials, float], Any]
    is_session: bool = False
    fetch: Callable[[Any], Any] | None = None
    auth: Callable[[Any], Any] = lambda session: session.auth
    leeway: float = 0.0

    def with_origin(self, origin: str) -> Contender:
        """The same, whose token may also go to `origin`. Only for our own adapters."""
        module = import_module(self.module)
        options: dict[str, Any] = {"client_auth": "client_secret_basic", "origins": [origin]}
        return self._replace(
            make=lambda credentials, budget: module.MediaHoundAuth(
                **credentials, **options, timeout=budget
            )
        )

    def session(self, credentials: Credentials, budget: float = PATIENCE) -> Any:
        """A session that calls with a token, or will when `fetch` is done."""
        made = self.make(credentials, budget)
        if self.kind != "requests":
            if self.is_session:
                return made
            if self.kind == "httpx async":
                queue = Queue(httpx.AsyncHTTPTransport())
                return httpx.AsyncClient(auth=made, timeout=PATIENCE, transport=queue)
            return httpx.Client(auth=made, timeout=PATIENCE)
        session = made if self.is_session else requests.Session()
        session.mount("http://", HTTPAdapter(pool_maxsize=100))
        if not self.is_session:
            session.auth = made
        return session


class StaticHeader(AuthBase):
    """The least that an auth object can do in requests."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._authorization
        return request


class StaticHeaderFlow(httpx.Auth):
    """The least that an auth object can do in httpx."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._authorization
        yield request


def ours() -> list[Contender]:
    def from_requests(credentials: Credentials, budget: float) -> Any:
        return ours_requests.MediaHoundAuth(
            **credentials, client_auth="client_secret_basic", timeout=budget
        )

    def from_httpx(credentials: Credentials, budget: float) -> Any:
        return ours_httpx.MediaHoundAuth(
            **credentials, client_auth="client_secret_basic", timeout=budget
        )

    return [
        Contender(OURS, "requests", "mediahound_auth.requests", from_requests),
        Contender(OURS, "httpx", "mediahound_auth.httpx", from_httpx),
        Contender(OURS, "httpx async", "mediahound_auth.httpx", from_httpx),
    ]


def static_headers() -> list[Contender]:
    def from_requests(credentials: Credentials, _: float) -> Any:
        return StaticHeader(plain_token(credentials))

    def from_httpx(credentials: Credentials, _: float) -> Any:
        return StaticHeaderFlow(plain_token(credentials))

    return [
        Contender(STATIC, "requests", "", from_requests),
        Contender(STATIC, "httpx", "", from_httpx),
        Contender(STATIC, "httpx async", "", from_httpx),
    ]


def beside_static(contenders: Iterable[Contender]) -> list[Contender]:
    """`contenders`, and before them a static header of each of their kinds."""
    contenders = list(contenders)
    kinds = {contender.kind for contender in contenders}
    return [static for static in static_headers() if static.kind in kinds] + contenders
