"""The package beside libraries that mock, record or cache HTTP."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import requests
import responses
import respx
from pytest_httpx import HTTPXMock

from mediahound_auth import MemoryStore
from mediahound_auth._core.settings import DEFAULT_TOKEN_URL
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.httpx2 import MediaHoundAuth as Httpx2Auth
from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer, static_auth

SEARCH = "https://api.mediahound.com/1.3/search/all/Gladiator"
TOKEN = {"access_token": "mocked", "token_type": "bearer", "expires_in": 86_400}


async def found(auth: Any) -> int:
    async with httpx.AsyncClient(auth=auth) as client:
        return (await client.get(SEARCH)).status_code


def test_a_fixed_token_with_responses() -> None:
    with responses.RequestsMock() as mock:
        mock.get(SEARCH, json={})
        assert requests.get(SEARCH, auth=static_auth("fixed"), timeout=5).json() == {}
        assert mock.calls[0].request.headers["Authorization"] == "Bearer fixed"


def test_a_fixed_token_with_respx() -> None:
    with respx.mock:
        route = respx.get(SEARCH).respond(json={})
        assert httpx.get(SEARCH, auth=static_auth()).json() == {}
        assert asyncio.run(found(static_auth())) == 200
        for call in route.calls:
            assert call.request.headers["Authorization"] == "Bearer static-access-token"


def test_a_fixed_token_with_pytest_httpx(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=SEARCH, match_headers={"Authorization": "Bearer fixed"})
    assert httpx.get(SEARCH, auth=static_auth("fixed")).status_code == 200


def test_a_fixed_token_as_the_auth_of_sessions_and_clients(server: MediaHoundServer) -> None:
    session = requests.Session()
    session.auth = static_auth("fixed")
    assert session.get(f"{server.url}/echo", timeout=5).status_code == 401
    for library in (httpx, httpx2):
        with library.Client(auth=static_auth("fixed")) as client:
            assert client.get(f"{server.url}/echo").status_code == 401
    tokens = [call.headers["Authorization"] for call in server.api_requests]
    assert tokens == ["Bearer fixed"] * 3
    assert server.token_requests == []


KINDS = pytest.mark.parametrize("kind", [RequestsAuth, HttpxAuth, Httpx2Auth])


@KINDS
def test_a_fixed_token_as_a_real_auth_object_is_the_same_whatever_is_done(kind: Any) -> None:
    auth = static_auth("fixed", kind)
    assert isinstance(auth, kind)
    for each in (auth, copy.copy(auth), copy.deepcopy(auth)):
        assert each.token().access_token == "fixed"
        assert each.renew().access_token == "fixed"
        each.forget()
        assert each.token().access_token == "fixed"
    assert static_auth("another", kind).token().access_token == "another"


def test_a_fixed_token_with_invalid_characters_is_an_error() -> None:
    with pytest.raises(ValueError, match="access_token is empty, or contains"):
        static_auth("two words")
    with pytest.raises(ValueError, match="access_token is empty, or contains"):
        static_auth("two words", RequestsAuth)
    session: Any = MediaHoundSession
    with pytest.raises(TypeError, match=r"set session\.auth"):
        static_auth("token", session)


def test_a_fixed_token_as_a_real_auth_object_with_responses() -> None:
    auth = static_auth("fixed", RequestsAuth)
    with responses.RequestsMock() as mock:
        mock.get(SEARCH, status=401)
        mock.get("https://example.com/", json={})
        assert requests.get(SEARCH, auth=auth, timeout=5).status_code == 401
        assert requests.get("https://example.com/", auth=auth, timeout=5).status_code == 200
        sent = [call.request.headers.get("Authorization") for call in mock.calls]
        assert sent == ["Bearer fixed", None], "to MediaHound only, and no token request"


def test_a_fixed_token_as_a_real_auth_object_with_respx() -> None:
    auth = static_auth("fixed", HttpxAuth)
    with respx.mock:
        route = respx.get(SEARCH).respond(401)
        assert httpx.get(SEARCH, auth=auth).status_code == 401
        assert asyncio.run(found(auth)) == 401
        sent = [call.request.headers["Authorization"] for call in route.calls]
        assert sent == ["Bearer fixed"] * 2


def test_a_fixed_token_as_a_real_auth_object_with_pytest_httpx(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=SEARCH, match_headers={"Authorization": "Bearer fixed"})
    assert httpx.get(SEARCH, auth=static_auth("fixed", HttpxAuth)).status_code == 200


@pytest.fixture
def credentials(client_id: str) -> tuple[str, str]:
    return client_id, "secret"


def test_a_mocked_token_endpoint_with_responses(credentials: tuple[str, str]) -> None:
    with responses.RequestsMock() as mock:
        mock.post(DEFAULT_TOKEN_URL, json=TOKEN)
        mock.get(SEARCH, json={})
        for _ in range(2):
            assert requests.get(SEARCH, auth=RequestsAuth(*credentials), timeout=5).json() == {}
        assert [call.request.method for call in mock.calls] == ["POST", "GET", "GET"]
        assert mock.calls[1].request.headers["Authorization"] == "Bearer mocked"


def test_a_mocked_token_endpoint_with_respx(credentials: tuple[str, str]) -> None:
    with respx.mock:
        asked = respx.post(DEFAULT_TOKEN_URL).respond(json=TOKEN)
        called = respx.get(SEARCH).respond(json={})
        assert httpx.get(SEARCH, auth=HttpxAuth(*credentials)).json() == {}
        assert asyncio.run(found(HttpxAuth(*credentials))) == 200
        assert (asked.call_count, called.call_count) == (1, 2)


def test_a_mocked_token_endpoint_with_pytest_httpx(
    httpx_mock: HTTPXMock, credentials: tuple[str, str]
) -> None:
    httpx_mock.add_response(method="POST", url=DEFAULT_TOKEN_URL, json=TOKEN)
    httpx_mock.add_response(url=SEARCH, match_headers={"Authorization": "Bearer mocked"})
    assert asyncio.run(found(HttpxAuth(*credentials))) == 200


def test_a_mocked_rejection_is_raised(credentials: tuple[str, str]) -> None:
    with responses.RequestsMock() as mock:
        mock.post(DEFAULT_TOKEN_URL, status=401, body=json.dumps({"error": "invalid_client"}))
        with pytest.raises(requests.RequestException, match="invalid_client"):
            requests.get(SEARCH, auth=RequestsAuth(*credentials), timeout=5)


@pytest.mark.parametrize("serializer", ["yaml", "json"])
@pytest.mark.parametrize("library", [requests, httpx], ids=["requests", "httpx"])
def test_vcrpy_records_and_replays(
    library: Any, serializer: str, server: MediaHoundServer, tmp_path: Path
) -> None:
    import vcr  # here, and not in each process of a test run

    kind = RequestsAuth if library is requests else HttpxAuth
    for _ in range(2):
        auth = kind(**server.credentials, store=MemoryStore())
        with vcr.use_cassette(str(tmp_path / "cassette"), serializer=serializer):
            response = library.get(f"{server.url}/echo", auth=auth, timeout=5)
            assert response.json()["method"] == "GET"
    assert len(server.token_requests) == len(server.api_requests) == 1


def test_a_token_can_be_written_as_yaml(server: MediaHoundServer) -> None:
    import yaml

    with MediaHoundSession(**server.credentials) as session:
        token = dict(session.fetch_token())
    assert yaml.safe_load(yaml.safe_dump(token)) == token


def test_requests_cache_stores_no_token(server: MediaHoundServer, tmp_path: Path) -> None:
    import requests_cache

    with requests_cache.CachedSession(
        tmp_path / "cache.sqlite", allowable_codes=(200, 401)
    ) as session:
        session.auth = RequestsAuth(**server.credentials)
        for path in ("/echo", "/redirect?to=/echo", "/status/200"):
            assert session.get(f"{server.url}{path}", timeout=5).status_code == 200
            server.revoke_tokens()
    tokens = {call.headers["Authorization"] for call in server.api_requests}
    assert len(tokens) == 3
    stored = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"Bearer ***" in stored
    assert [value for value in tokens if value and value.split()[1].encode() in stored] == []
