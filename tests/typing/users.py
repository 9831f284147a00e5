"""What users write, as type checkers see it: never run, checked by mypy and by pyright."""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from typing import assert_type

import httpx
import httpx2
import redis
import requests

import mediahound_auth
from mediahound_auth import (
    ConfigurationError,
    InvalidClientError,
    InvalidTokenResponse,
    MediaHoundAuthError,
    MemoryStore,
    Store,
    Token,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.httpx2 import MediaHoundAuth as Httpx2Auth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.stores import FileStore, RedisStore
from mediahound_auth.testing import MediaHoundServer, ReceivedRequest


def with_requests() -> None:
    session = requests.Session()
    session.auth = RequestsAuth("MyClientId", "MyClientSecret")
    auth = RequestsAuth(
        client_secret=lambda: "rotated",
        token_url="https://auth.example.com/token",
        scope=["public_profile"],
        parameters={"audience": "https://api.example.com", "resource": ["a", "b"]},
        client_auth="client_secret_basic",
        origins=("https://eu.example.com",),
        store=MemoryStore(),
        renew_margin=60,
        timeout=10,
        session=session,
    )
    requests.get("https://api.mediahound.com", auth=auth)
    assert_type(auth.token(), Token)
    assert_type(auth.renew(), Token)
    assert_type(auth.forget(), None)


async def with_httpx() -> None:
    with httpx.Client() as client:
        auth = HttpxAuth(scope="public_profile", parameters={"audience": "a"}, client=client)
    httpx.get("https://api.mediahound.com", auth=auth)
    async with httpx.AsyncClient(auth=auth) as asynchronous:
        await asynchronous.get("https://api.mediahound.com", auth=HttpxAuth())
    assert_type(auth.token(), Token)
    assert_type(await auth.atoken(), Token)
    assert_type(await auth.arenew(), Token)
    assert_type(await auth.aforget(), None)


async def with_httpx2() -> None:
    with httpx2.Client() as client:
        auth = Httpx2Auth(scope="public_profile", client=client)
    httpx2.get("https://api.mediahound.com", auth=auth)
    async with httpx2.AsyncClient(auth=auth) as asynchronous:
        await asynchronous.get("https://api.mediahound.com", auth=Httpx2Auth())
    assert_type(await auth.atoken(), Token)


def a_token(token: Token) -> None:
    assert_type(token.access_token, str)
    assert_type(token.expires_at, float)
    assert_type(token.requested_at, float)
    assert_type(token.scope, str | None)
    assert_type(token.returned_again, bool)
    assert_type(token.authorization, str)
    assert_type(mediahound_auth.__version__, str)


def errors(auth: RequestsAuth) -> None:
    try:
        auth.token()
    except (InvalidClientError, InvalidTokenResponse, TokenEndpointUnavailable) as error:
        assert_type(error.status, int | None)
        assert_type(error.error, str | None)
        assert_type(error.error_description, str | None)
        assert_type(error.retry_after, float | None)
        general: TokenRequestError = error
        most_general: MediaHoundAuthError = general
        assert most_general
    except ConfigurationError as error:
        value_error: ValueError = error
        assert value_error


def stores() -> list[Store]:
    return [
        MemoryStore(),
        FileStore(),
        FileStore("/var/cache/tokens", encryption_key=["new", b"old"]),
        RedisStore("redis://cache:6379", prefix="app:", encryption_key="key", lock_timeout=90),
        RedisStore(url="redis://cache:6379"),
        RedisStore(client=redis.Redis()),
    ]


def their_tests() -> None:
    with MediaHoundServer(lifetime=60, return_same_token=False) as server:
        RequestsAuth(**server.credentials)
        HttpxAuth(**server.credentials)
        assert_type(server.token_requests, list[ReceivedRequest])
        assert_type(server.url, str)


def mistakes() -> None:
    """Each of these is an error to both: an ignored error that is none is one itself."""
    RequestsAuth("id", "secret", "https://auth.example.com")  # type: ignore[call-arg]
    RequestsAuth(client_auth="basic")  # type: ignore[arg-type]
    RequestsAuth(store="redis://")  # type: ignore[arg-type]
    RedisStore(redis.Redis())  # type: ignore[arg-type]
    RequestsAuth(session=httpx.Client())  # type: ignore[arg-type]
    HttpxAuth(client=httpx.AsyncClient())  # type: ignore[arg-type]
    Httpx2Auth(client=httpx.Client())  # type: ignore[arg-type]
    HttpxAuth(client_secret=lambda: 1)  # type: ignore[arg-type, return-value]
