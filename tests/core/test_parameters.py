"""`parameters=`: further fields of the token request."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from libraries import BOTH, REQUESTS, Library

from mediahound_auth import TokenRequestError
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core.grant import Grant, TokenResponse
from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.stores import FileStore, MemoryStore
from mediahound_auth.testing import MediaHoundServer

AUDIENCE = "https://audience.example.com/private"


def fields(server: MediaHoundServer, n: int = -1) -> dict[str, list[str]]:
    """Those of the last token request, or of another one."""
    return parse_qs(server.token_requests[n].body.decode())


@BOTH
def test_parameters_are_sent_and_a_list_sends_its_field_more_than_once(
    server: MediaHoundServer, library: Library
) -> None:
    auth = library.auth(server, parameters={"resource": ["b", "a"], "audience": AUDIENCE})
    auth.token()
    assert fields(server) == {
        "grant_type": ["client_credentials"],
        "client_id": [server.client_id],
        "client_secret": [server.client_secret],
        "audience": [AUDIENCE],
        "resource": ["a", "b"],
    }


@BOTH
def test_only_equal_parameters_share_a_token(server: MediaHoundServer, library: Library) -> None:
    first = library.auth(server, parameters={"a": "1", "b": ["2", "3"]})
    same = library.auth(server, parameters={"b": ("3", "2"), "a": "1"})
    others = [
        library.auth(server, parameters=parameters)
        for parameters in ({"a": "1", "b": "2"}, {"a": "2", "b": ["2", "3"]}, {}, None)
    ]
    for auth in (first, same):
        auth.token()
    assert len(server.token_requests) == 1
    for auth in others:
        auth.token()
    assert len(server.token_requests) == 4, "no parameters, empty or not given, are the same"


def test_a_store_tells_them_apart(server: MediaHoundServer, tmp_path: Any) -> None:
    for audience in ("a", "b", "a"):
        # In another process, none of it would be in memory.
        auth = REQUESTS.auth(
            server, parameters={"audience": audience}, store=FileStore(tmp_path / "tokens")
        )
        auth.token()
        source_of(auth).shared.forget()
    assert [fields(server, n)["audience"] for n in (0, 1)] == [["a"], ["b"]]
    assert len(server.token_requests) == 2


def test_a_copy_has_them_and_masks_them(server: MediaHoundServer) -> None:
    auth = REQUESTS.auth(server, parameters={"audience": AUDIENCE}, store=MemoryStore())
    for twin in (copy.deepcopy(auth), pickle.loads(pickle.dumps(auth))):
        settings = source_of(twin).settings
        assert settings.grant == source_of(auth).settings.grant
        assert AUDIENCE not in repr((*settings.grant, settings))
    assert AUDIENCE not in repr(auth)


def test_an_error_quotes_no_value_of_parameters() -> None:
    grant = Grant("id", "secret", "https://a.example/token", parameters=(("child", AUDIENCE),))
    for said in (AUDIENCE, AUDIENCE.upper(), AUDIENCE[8:24]):
        body = json.dumps({"error": "invalid_request", "error_description": f"no {said}"})
        with pytest.raises(TokenRequestError, match="invalid_request") as caught:
            grant.token(TokenResponse(400, {}, body.encode()), sent_at=0.0)
        assert caught.value.error_description is None


def test_the_name_of_a_grant_type_may_be_quoted() -> None:
    grant = Grant("id", "secret", "https://a.example/t", parameters=(("grant_type", "csp_grant"),))
    body = b'{"error": "unsupported_grant_type", "error_description": "csp_grant is off"}'
    with pytest.raises(TokenRequestError, match="csp_grant is off"):
        grant.token(TokenResponse(400, {}, body), sent_at=0.0)


@pytest.fixture
def session(server: MediaHoundServer) -> Iterator[MediaHoundSession]:
    parameters = {"resource": ["a", "b"], "audience": AUDIENCE}
    with MediaHoundSession(**server.credentials, parameters=parameters) as session:
        yield session


def test_a_hook_of_requests_oauthlib_sees_them_and_leaves_them_as_they_are(
    session: MediaHoundSession, server: MediaHoundServer
) -> None:
    seen: list[Any] = []

    def hook(url: str, headers: Any, kwargs: Any) -> Any:
        seen.append(kwargs["data"])
        return url, headers, kwargs

    session.register_compliance_hook("access_token_request", hook)
    session.fetch_token()
    assert seen[0]["resource"] == ["a", "b"]
    assert seen[0]["audience"] == AUDIENCE
    assert fields(server)["resource"] == ["a", "b"]
    assert fields(server)["audience"] == [AUDIENCE]
