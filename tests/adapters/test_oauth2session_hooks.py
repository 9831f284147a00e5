"""MediaHoundSession: compliance hooks."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from oauth2sessions import search

from mediahound_auth import ConfigurationError
from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.testing import MediaHoundServer


def test_protected_request_hooks_change_what_is_sent(server: MediaHoundServer) -> None:
    def hook(url: str, headers: Any, data: Any) -> tuple[str, Any, Any]:
        return f"{url}?version=2", {**(headers or {}), "X-Version": "2"}, data

    session = MediaHoundSession(**server.credentials)
    session.register_compliance_hook("protected_request", hook)
    search(session, server)
    [call] = server.api_requests
    assert call.path.endswith("?version=2")
    assert call.headers["X-Version"] == "2"
    assert str(call.headers["Authorization"]).startswith("Bearer ")


def test_protected_request_hooks_can_read_the_token(server: MediaHoundServer) -> None:
    def hook(url: str, headers: Any, data: Any) -> tuple[str, Any, Any]:
        return f"{url}?access={session.access_token}", headers, data

    session = MediaHoundSession(**server.credentials)
    session.register_compliance_hook("protected_request", hook)
    search(session, server)
    [call] = server.api_requests
    assert call.headers["Authorization"] == f"Bearer {call.path.partition('?access=')[2]}"


def test_access_token_hooks_get_a_form_and_a_response(
    server: MediaHoundServer,
) -> None:
    seen: list[Any] = []

    def ask(url: str, headers: Any, kwargs: Any) -> tuple[str, Any, Any]:
        seen.append((url, dict(kwargs["data"])))
        kwargs["data"]["audience"] = "a b&c"
        return url, {**headers, "X-Tenant": "ours"}, kwargs

    def answer(response: requests.Response) -> requests.Response:
        fields = response.json()
        fields["expires_in"] = 60
        response._content = json.dumps(fields).encode()
        return response

    session = MediaHoundSession(**server.credentials)
    session.register_compliance_hook("access_token_request", ask)
    session.register_compliance_hook("access_token_response", answer)
    assert search(session, server) == 200
    [(url, form)] = seen
    assert url == server.token_url
    assert form["client_id"] == server.client_id
    [request] = server.token_requests
    assert request.headers["X-Tenant"] == "ours"
    assert request.body.endswith(b"&audience=a+b%26c")
    expires_in = session.token["expires_in"]
    assert isinstance(expires_in, int)
    assert expires_in <= 60


def test_several_hooks_change_the_same_form(server: MediaHoundServer) -> None:
    def adding(name: str) -> Any:
        def hook(url: str, headers: Any, kwargs: Any) -> tuple[str, Any, Any]:
            return url, headers, {"data": {**kwargs["data"], name: "1"}}

        return hook

    session = MediaHoundSession(**server.credentials)
    for name in ("one", "two"):
        session.register_compliance_hook("access_token_request", adding(name))
    assert search(session, server) == 200
    [request] = server.token_requests
    assert b"&one=1" in request.body
    assert b"&two=1" in request.body


@pytest.mark.parametrize("shape", [urlencode, lambda form: urlencode(form).encode(), list])
def test_a_hook_may_return_the_form_in_any_shape_that_requests_takes(
    server: MediaHoundServer, shape: Any
) -> None:
    def hook(url: str, headers: Any, kwargs: Any) -> tuple[str, Any, Any]:
        return url, headers, {"data": shape(list(kwargs["data"].items()))}

    session = MediaHoundSession(**server.credentials)
    session.register_compliance_hook("access_token_request", hook)
    assert search(session, server) == 200


def test_a_hook_cannot_send_the_secret_elsewhere(server: MediaHoundServer) -> None:
    with MediaHoundServer() as elsewhere:
        session = MediaHoundSession(**server.credentials)
        session.register_compliance_hook(
            "access_token_request", lambda _, headers, kwargs: (elsewhere.url, headers, kwargs)
        )
        with pytest.raises(ConfigurationError, match="headers and data only"):
            session.fetch_token()
        assert elsewhere.token_requests == elsewhere.api_requests == server.token_requests == []


def test_a_hook_that_puts_the_form_into_the_url_is_an_error(server: MediaHoundServer) -> None:
    def hook(url: str, headers: Any, kwargs: Any) -> tuple[str, Any, Any]:
        return url, headers, {"params": kwargs["data"]}

    session = MediaHoundSession(**server.credentials)
    session.register_compliance_hook("access_token_request", hook)
    with pytest.raises(ConfigurationError, match="headers and data only") as caught:
        session.fetch_token()
    assert server.client_secret not in f"{caught.value} {caught.value.__cause__!r}"
    assert server.token_requests == []


def test_hooks_for_refreshing_are_never_called_since_nothing_is_refreshed(
    server: MediaHoundServer,
) -> None:
    session = MediaHoundSession(**server.credentials)
    called: list[object] = []
    for kind in ("refresh_token_request", "refresh_token_response"):
        session.register_compliance_hook(kind, called.append)
    session.refresh_token()
    server.revoke_tokens()
    assert search(session, server) == 200
    assert called == []


def test_a_protected_request_hook_is_not_for_a_request_without_the_token(
    server: MediaHoundServer,
) -> None:
    called: list[object] = []

    def hook(*request: object) -> tuple[object, ...]:
        called.append(request)
        return request

    session = MediaHoundSession(**server.credentials)
    session.register_compliance_hook("protected_request", hook)
    session.get(f"{server.url}/echo", timeout=10, withhold_token=True)
    assert called == []
    search(session, server)
    assert len(called) == 1


def test_unknown_hooks_are_rejected_by_requests_oauthlib() -> None:
    with pytest.raises(ValueError, match="Hook type"):
        MediaHoundSession("id", "secret").register_compliance_hook("another", print)
