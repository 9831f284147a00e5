"""MediaHoundSession: tokens that are kept elsewhere, and compliance hooks."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from mediahound_auth import ConfigurationError, TokenRequestError
from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

Told = list[dict[str, object]]


def search(session: MediaHoundSession, server: MediaHoundServer) -> int:
    url = f"{server.url}/1.3/search/all/Gladiator"
    return int(session.get(url, timeout=10).status_code)


def test_the_updater_is_told_each_new_token_once_whoever_brought_it(
    server: MediaHoundServer,
) -> None:
    told: Told = []
    session = MediaHoundSession(**server.credentials, token_updater=told.append)
    search(session, server)
    search(session, server)
    assert [token["access_token"] for token in told] == [session.access_token]
    server.revoke_tokens()
    search(session, server)  # a replay
    assert len(told) == 2
    session.fetch_token()  # the same token once more
    assert len(told) == 2
    server.revoke_tokens()
    other = MediaHoundAuth(**server.credentials)
    other.renew()
    search(session, server)
    assert told[2]["access_token"] == session.access_token == other.token().access_token
    assert len(told) == 3


def test_threads_that_call_at_once_tell_it_once(server: MediaHoundServer) -> None:
    told: Told = []
    session = MediaHoundSession(**server.credentials, token_updater=told.append)
    start = threading.Barrier(16)

    def call(_: int) -> int:
        start.wait(30)
        return search(session, server)

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(call, range(16))) == {200}
    assert len(told) == 1


def test_an_updater_may_call_with_the_session_itself(server: MediaHoundServer) -> None:
    statuses: list[int] = []
    session = MediaHoundSession(
        **server.credentials, token_updater=lambda _: statuses.append(search(session, server))
    )
    assert search(session, server) == 200
    assert statuses == [200]


def test_an_updater_that_fails_is_told_again_and_the_token_is_not_lost(
    server: MediaHoundServer,
) -> None:
    told: Told = []

    def keep(token: dict[str, object]) -> None:
        if not told:
            told.append({})
            raise OSError("the disk is full")
        told.append(token)

    session = MediaHoundSession(**server.credentials, token_updater=keep)
    with pytest.raises(OSError, match="disk is full"):
        search(session, server)
    assert session.authorized
    assert search(session, server) == 200
    assert told[1]["access_token"] == session.access_token
    assert len(server.token_requests) == 1


def test_a_token_that_was_kept_elsewhere_is_used_and_not_told_again(
    server: MediaHoundServer,
) -> None:
    kept: Any = MediaHoundSession(**server.credentials).fetch_token()
    MediaHoundAuth(**server.credentials).forget()
    told: Told = []
    session = MediaHoundSession(**server.credentials, token=kept, token_updater=told.append)
    for field in ("access_token", "expires_at", "scope"):
        assert session.token[field] == kept[field]
    assert search(session, server) == 200
    assert told == []
    assert len(server.token_requests) == 1


@pytest.mark.parametrize("expiry", [{"expires_in": 600}, {"expires_at": time.time() + 600}, {}])
def test_its_expiry_is_a_moment_or_a_number_of_seconds_or_not_known(
    server: MediaHoundServer, expiry: Mapping[str, object]
) -> None:
    session = MediaHoundSession(**server.credentials)
    session.token = {"access_token": "kept", **expiry}
    assert session.access_token == "kept"
    expires_in = session.token["expires_in"]
    assert isinstance(expires_in, int)
    assert 0 < expires_in <= (600 if expiry else 1_209_600)


def test_one_that_has_expired_is_not_used(server: MediaHoundServer) -> None:
    kept = {"access_token": "kept", "expires_at": time.time() - 1}
    session = MediaHoundSession(**server.credentials, token=kept)
    assert not session.authorized
    assert search(session, server) == 200


def test_the_access_token_can_be_set_and_deleted_and_the_token_emptied(
    server: MediaHoundServer,
) -> None:
    session = MediaHoundSession(**server.credentials)
    session.access_token = "kept"
    assert session.access_token == "kept"
    del session.access_token
    assert not session.authorized
    assert search(session, server) == 200
    session.token = {}
    assert session.token == {}
    assert MediaHoundAuth(**server.credentials)._cell.state.token is None


@pytest.mark.parametrize(
    "token",
    [{"expires_in": 1}, {"access_token": "pri vate"}, {"access_token": "a", "expires_in": "soon"}],
)
def test_what_is_no_token_is_refused_and_not_quoted(token: Mapping[str, object]) -> None:
    with pytest.raises(ConfigurationError, match="access_token") as caught:
        MediaHoundSession("id", "secret", token=token)
    assert "pri vate" not in repr(caught.value.__cause__) + str(caught.value)


def test_protected_request_hooks_change_what_is_sent(server: MediaHoundServer) -> None:
    def hook(url: str, headers: Any, data: Any) -> tuple[str, Any, Any]:
        return f"{url}?version=2", {**(headers or {}), "X-Version": "2"}, data

    session = MediaHoundSession(**server.credentials)
    session.register_compliance_hook("protected_request", hook)
    search(session, server)
    [call] = server.api_calls
    assert call.path.endswith("?version=2")
    assert call.headers["X-Version"] == "2"
    assert str(call.headers["Authorization"]).startswith("Bearer ")


def test_access_token_hooks_see_the_request_as_a_form_and_the_answer_as_a_response(
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
        with pytest.raises(TokenRequestError) as caught:
            session.fetch_token()
        assert "may not change the URL" in str(caught.value.__cause__)
        assert elsewhere.token_requests == elsewhere.api_calls == server.token_requests == []


def test_a_hook_that_puts_the_form_into_the_url_is_told_so(server: MediaHoundServer) -> None:
    def hook(url: str, headers: Any, kwargs: Any) -> tuple[str, Any, Any]:
        return url, headers, {"params": kwargs["data"]}

    session = MediaHoundSession(**server.credentials)
    session.register_compliance_hook("access_token_request", hook)
    with pytest.raises(TokenRequestError) as caught:
        session.fetch_token()
    assert "nothing but headers and data" in str(caught.value.__cause__)
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


def test_other_hooks_are_refused_as_ever() -> None:
    with pytest.raises(ValueError, match="Hook type"):
        MediaHoundSession("id", "secret").register_compliance_hook("another", print)
