"""The HTTP libraries, each as its users use it: requests, httpx, httpx2, sync and async.

The fixture `library` is one of LIBRARIES after the other. A test for some of them says
`@pytest.mark.parametrize("library", SYNC, indirect=True)`, or another of the lists below.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

import anyio
import httpx
import httpx2
import pytest
import requests
from anyio.from_thread import start_blocking_portal

import mediahound_auth.httpx
import mediahound_auth.httpx2
import mediahound_auth.requests
from mediahound_auth import Token
from mediahound_auth.testing import MediaHoundServer

# Seconds that a call may take, on a machine that is busy with other things.
PATIENCE = 20.0

# A call of one session or client: method, URL, body. What it returns has what the responses of all
# these libraries have: status_code, headers, content and json().
Call = Callable[..., Any]


class Library:
    """One of them.

    Attributes:
        name: what tests call it.
        module: requests, httpx or httpx2.
        adapter: our module for it.
        error: the base of its errors.
        connection_error: what it raises where no connection can be made.
        backend: "asyncio" or "trio", where it is used with async clients.
    """

    def __init__(
        self, name: str, module: ModuleType, adapter: ModuleType, backend: str = ""
    ) -> None:
        self.name = name
        self.module = module
        self.adapter = adapter
        self.backend = backend
        of_requests = module is requests
        self.error: type[Exception] = getattr(
            module, "RequestException" if of_requests else "RequestError"
        )
        self.connection_error: type[Exception] = getattr(
            module, "ConnectionError" if of_requests else "ConnectError"
        )

    def __repr__(self) -> str:
        return self.name

    @property
    def is_requests(self) -> bool:
        return self.module is requests

    @property
    def MediaHoundAuth(self) -> Any:  # a class
        return self.adapter.MediaHoundAuth

    @property
    def sending(self) -> tuple[type, str]:
        """The class and the method that send a request, to be patched; not of async clients."""
        if self.is_requests:
            return requests.adapters.HTTPAdapter, "send"
        return self.module.HTTPTransport, "handle_request"

    def auth(self, server: MediaHoundServer, **options: Any) -> Any:
        """An auth object with the credentials of `server`, apart from `options`."""
        return self.MediaHoundAuth(**{**server.credentials, **options})

    def token(self, auth: Any) -> Token:
        """`auth.token()`, or what stands for it in async code."""
        token: Token = self._run(auth.atoken) if self.backend else auth.token()
        return token

    def get(self, url: str, auth: Any = None, **settings: Any) -> Any:
        """The response to a GET request of a session or client made for it."""
        return self.request("GET", url, auth=auth, **settings)

    def post(self, url: str, body: bytes, auth: Any = None, **settings: Any) -> Any:
        """The response to a POST request of a session or client made for it."""
        return self.request("POST", url, body, auth=auth, **settings)

    def request(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        *,
        headers: Any = None,
        **settings: Any,
    ) -> Any:
        """The response to a request of a session or client made for it; see `client`."""
        if not self.backend:
            with self.client(**settings) as call:
                return call(method, url, body, headers=headers)

        async def main() -> Any:
            async with self._httpx_client(**settings) as client:
                return await client.request(method, url, content=body, headers=headers)

        return self._run(main)

    @contextmanager
    def client(self, auth: Any = None, **settings: Any) -> Iterator[Call]:
        """Calls of one session or client, which follows redirects.

        `verify` is a file with the certificates it trusts, `cert` one with its own certificate;
        `proxy` and `timeout` are what all libraries call so.
        """
        if self.is_requests:
            with requests.Session() as session:
                _set_up(session, **settings)
                session.auth = auth
                timeout = settings.get("timeout", PATIENCE)
                yield lambda method, url, body=b"", **more: session.request(
                    method, url, data=body, **{"timeout": timeout, **more}
                )
        elif not self.backend:
            with self._httpx_client(auth=auth, **settings) as client:
                yield lambda method, url, body=b"", **more: client.request(
                    method, url, content=body, **more
                )
        else:
            with start_blocking_portal(self.backend) as portal:
                made = self._httpx_client(auth=auth, **settings)
                with portal.wrap_async_context_manager(made) as client:
                    yield lambda method, url, body=b"", **more: portal.call(
                        partial(client.request, method, url, content=body, **more)
                    )

    @contextmanager
    def own(self, **settings: Any) -> Iterator[dict[str, Any]]:
        """`session=` or `client=`, with these settings, for an auth object; see `client`."""
        if self.is_requests:
            with requests.Session() as session:
                _set_up(session, **settings)
                yield {"session": session}
        else:
            with self.module.Client(**_for_httpx(**settings)) as client:
                yield {"client": client}

    @contextmanager
    def __call__(self, server: MediaHoundServer, **options: Any) -> Iterator[tuple[Any, Call]]:
        """An auth object with the credentials of `server`, and calls with it."""
        auth = self.auth(server, **options)
        with self.client(auth, timeout=None) as call:
            yield auth, call

    def _httpx_client(self, auth: Any = None, **settings: Any) -> Any:
        kind = self.module.AsyncClient if self.backend else self.module.Client
        # httpcore now and then closes a connection in use when more are idle than it is to keep.
        limits = self.module.Limits(max_keepalive_connections=None, keepalive_expiry=None)
        made = {"auth": auth, "limits": limits, "follow_redirects": True}
        return kind(**made, **_for_httpx(**settings))

    def _run(self, function: Callable[[], Any]) -> Any:
        return anyio.run(function, backend=self.backend)


def _set_up(
    session: requests.Session,
    verify: str | None = None,
    cert: str | None = None,
    proxy: str | None = None,
    **_: object,
) -> None:
    session.verify, session.cert = verify or True, cert
    session.proxies = {"http": proxy, "https": proxy} if proxy else {}


def _for_httpx(
    verify: str | None = None,
    cert: str | None = None,
    proxy: str | None = None,
    timeout: Any = PATIENCE,
) -> dict[str, Any]:
    settings: dict[str, Any] = {"proxy": proxy, "timeout": timeout}
    if verify or cert:
        settings["verify"] = ssl.create_default_context(cafile=verify)
        if cert:
            settings["verify"].load_cert_chain(cert)
    return settings


REQUESTS = Library("requests", requests, mediahound_auth.requests)
HTTPX = Library("httpx", httpx, mediahound_auth.httpx)
HTTPX_ASYNC = Library("httpx async", httpx, mediahound_auth.httpx, "asyncio")
HTTPX_TRIO = Library("httpx on trio", httpx, mediahound_auth.httpx, "trio")
HTTPX2 = Library("httpx2", httpx2, mediahound_auth.httpx2)
HTTPX2_ASYNC = Library("httpx2 async", httpx2, mediahound_auth.httpx2, "asyncio")

LIBRARIES = [REQUESTS, HTTPX, HTTPX_ASYNC, HTTPX2, HTTPX2_ASYNC]
SYNC = [REQUESTS, HTTPX, HTTPX2]
# Where httpx2 can differ in nothing from httpx, and a test takes its time.
WITHOUT_HTTPX2 = [REQUESTS, HTTPX, HTTPX_ASYNC]

BOTH = pytest.mark.parametrize("library", [REQUESTS, HTTPX], indirect=True, ids=str)


def call(server: MediaHoundServer, auth: Any, path: str = "/status/200") -> int:
    """The status of a call with requests, where any library would do."""
    return requests.get(server.url + path, auth=auth, timeout=PATIENCE).status_code


def search(server: MediaHoundServer, auth: Any) -> int:
    """The same, of a search."""
    return call(server, auth, "/1.3/search/all/Alien")


def assert_no_secret(text: str, server: MediaHoundServer) -> None:
    """Neither the secret of `server`, nor what it makes in a header, is in there."""
    assert server.client_secret not in text
    for request in server.token_requests:
        assert request.headers["Authorization"].removeprefix("Basic ") not in text
