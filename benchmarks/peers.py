"""The peers: libraries for the same job, each as its own documentation says to use it.

Those that are not installed are left out: `pip install --group bench`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

from benchmarks.contenders import Contender, Queue
from benchmarks.sessions import PATIENCE
from mediahound_auth.testing import Credentials


def peers() -> list[Contender]:
    """All that are installed."""
    return [contender for library in _LIBRARIES for contender in _installed(library)]


def _installed(library: Callable[[], Iterator[Contender]]) -> list[Contender]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return list(library())
        except ModuleNotFoundError:
            return []


def _named(distribution: str) -> str:
    return f"{distribution} {version(distribution)}"


def _requests_auth() -> Iterator[Contender]:
    from requests_auth import OAuth2, OAuth2ClientCredentials

    def make(credentials: Credentials, _: float) -> Any:
        # Its cache knows a token by its URL and not by its client, and ports are used again.
        OAuth2.token_cache.clear()  # type: ignore[no-untyped-call]
        return OAuth2ClientCredentials(**credentials)

    yield Contender(_named("requests-auth"), "requests", "requests_auth", make, leeway=30)


def _requests_oauth2client() -> Iterator[Contender]:
    from requests_oauth2client import ClientSecretBasic, OAuth2Client, OAuth2ClientCredentialsAuth

    def make(credentials: Credentials, _: float) -> Any:
        basic = ClientSecretBasic(credentials["client_id"], credentials["client_secret"])
        # testing: it refuses http URLs otherwise.
        client = OAuth2Client(credentials["token_url"], auth=basic, testing=True)
        return OAuth2ClientCredentialsAuth(client)

    name = _named("requests-oauth2client")
    yield Contender(name, "requests", "requests_oauth2client", make, leeway=20)


def _requests_oauthlib() -> Iterator[Contender]:
    from oauthlib.oauth2 import BackendApplicationClient
    from requests_oauthlib import OAuth2, OAuth2Session  # type: ignore[import-untyped]

    def make(credentials: Credentials, _: float) -> Any:
        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # it refuses http URLs otherwise
        session = OAuth2Session(client=BackendApplicationClient(credentials["client_id"]))
        session.credentials = credentials
        return session

    def fetch(session: Any) -> None:
        credentials = session.credentials
        basic = (credentials["client_id"], credentials["client_secret"])
        session.fetch_token(credentials["token_url"], auth=basic)

    def auth(session: Any) -> Any:
        return OAuth2(session.client_id, token=session.token)

    yield Contender(
        _named("requests-oauthlib"),
        "requests",
        "requests_oauthlib",
        make,
        is_session=True,
        fetch=fetch,
        auth=auth,
    )


def _authlib_requests() -> Iterator[Contender]:
    from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]

    yield Contender(
        _named("Authlib"),
        "requests",
        "authlib.integrations.requests_client",
        _maker_of(OAuth2Session),
        is_session=True,
        fetch=lambda session: session.fetch_token(),
        auth=lambda session: session.token_auth,
        leeway=60,
    )


def _httpx_auth() -> Iterator[Contender]:
    from httpx_auth import OAuth2ClientCredentials

    def make(credentials: Credentials, _: float) -> Any:
        return OAuth2ClientCredentials(**credentials)

    name = _named("httpx-auth")
    yield Contender(name, "httpx", "httpx_auth", make, leeway=30)
    yield Contender(name, "httpx async", "httpx_auth", make, leeway=30)


def _authlib_httpx() -> Iterator[Contender]:
    import httpx2  # on which Authlib builds its clients where it is installed
    from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client  # type: ignore[import-untyped]

    async def fetch(client: Any) -> None:
        await client.fetch_token()

    def blocking(*credentials: str, **options: str) -> Any:
        return OAuth2Client(*credentials, **options, timeout=PATIENCE)

    def asynchronous(*credentials: str, **options: str) -> Any:
        queue = Queue(httpx2.AsyncHTTPTransport())
        return AsyncOAuth2Client(*credentials, **options, timeout=PATIENCE, transport=queue)

    name, module = f"{_named('Authlib')} on httpx2", "authlib.integrations.httpx_client"
    yield Contender(
        name,
        "httpx",
        module,
        _maker_of(blocking),
        is_session=True,
        fetch=lambda client: client.fetch_token(),
        auth=lambda client: client.token_auth,
        leeway=60,
    )
    yield Contender(
        name,
        "httpx async",
        module,
        _maker_of(asynchronous),
        is_session=True,
        fetch=fetch,
        auth=lambda client: client.token_auth,
        leeway=60,
    )


def _maker_of(client: Callable[..., Any]) -> Callable[[Credentials, float], Any]:
    def make(credentials: Credentials, _: float) -> Any:
        return client(
            credentials["client_id"],
            credentials["client_secret"],
            token_endpoint=credentials["token_url"],
            # Without this it does not renew.
            grant_type="client_credentials",
        )

    return make


_LIBRARIES = (
    _requests_auth,
    _requests_oauth2client,
    _requests_oauthlib,
    _authlib_requests,
    _authlib_httpx,
    _httpx_auth,
)
