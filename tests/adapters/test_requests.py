"""MediaHoundAuth in requests: how it is passed, what it leaves unchanged, its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

import mediahound_auth
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

PATH = "/1.3/search/all/Gladiator"


@pytest.fixture
def url(server: MediaHoundServer) -> str:
    return server.url + PATH


def auth_for(server: MediaHoundServer, **options: Any) -> MediaHoundAuth:
    return MediaHoundAuth(**{**server.credentials, **options})


@pytest.fixture
def auth(server: MediaHoundServer) -> MediaHoundAuth:
    return auth_for(server)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


def sent_authorizations(server: MediaHoundServer) -> list[str | None]:
    return [call.headers["Authorization"] for call in server.api_requests]


def as_session_auth(session: requests.Session, auth: MediaHoundAuth, url: str) -> Any:
    session.auth = auth
    return session.get(url, timeout=10)


def as_argument_of_a_session(session: requests.Session, auth: MediaHoundAuth, url: str) -> Any:
    return session.get(url, auth=auth, timeout=10)


def as_argument_of_a_function(_: requests.Session, auth: MediaHoundAuth, url: str) -> Any:
    return requests.get(url, auth=auth, timeout=10)


def prepared_by_a_session(session: requests.Session, auth: MediaHoundAuth, url: str) -> Any:
    session.auth = auth
    return session.send(session.prepare_request(requests.Request("GET", url)), timeout=10)


def prepared_alone(session: requests.Session, auth: MediaHoundAuth, url: str) -> Any:
    return session.send(requests.Request("GET", url, auth=auth).prepare(), timeout=10)


WAYS = [
    as_session_auth,
    as_argument_of_a_session,
    as_argument_of_a_function,
    prepared_by_a_session,
    prepared_alone,
]
Way = Callable[[requests.Session, MediaHoundAuth, str], requests.Response]


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_passing_auth_sends_the_token(
    way: Way, session: requests.Session, auth: MediaHoundAuth, server: MediaHoundServer, url: str
) -> None:
    answers = [way(session, auth, url) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[0].json()["results"][0]["name"] == "Gladiator"
    assert sent_authorizations(server) == [auth.token().authorization] * 3
    assert len(server.token_requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_every_method_sends_the_token(
    method: str, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    assert requests.request(method, f"{server.url}/echo", auth=auth, timeout=10).ok
    [call] = server.api_requests
    assert (call.method, call.status) == (method, 200)


def test_auth_of_a_call_takes_precedence_over_that_of_the_session(
    session: requests.Session, auth: MediaHoundAuth, server: MediaHoundServer, url: str
) -> None:
    session.auth = ("somebody", "else")
    assert session.get(url, auth=auth, timeout=10).status_code == 200

    session.auth = auth
    assert session.get(url, auth=("somebody", "else"), timeout=10).status_code == 401
    other = requests.auth._basic_auth_str("somebody", "else")
    assert sent_authorizations(server) == [auth.token().authorization, other]


def test_the_token_replaces_an_authorization_header_of_session_or_call(
    session: requests.Session, auth: MediaHoundAuth, server: MediaHoundServer, url: str
) -> None:
    session.auth = auth
    session.headers["Authorization"] = "Bearer of-the-session"
    session.get(url, timeout=10).raise_for_status()
    session.get(url, headers={"authorization": "of-the-call"}, timeout=10).raise_for_status()
    assert sent_authorizations(server) == [auth.token().authorization] * 2


def test_a_prepared_request_can_be_sent_again_and_after_its_token_was_revoked(
    session: requests.Session, auth: MediaHoundAuth, server: MediaHoundServer, url: str
) -> None:
    prepared = requests.Request("POST", url, auth=auth, data=b"body").prepare()
    assert session.send(prepared, timeout=10).status_code == 200
    server.revoke_tokens()
    assert session.send(prepared, timeout=10).status_code == 200
    assert session.send(prepared, timeout=10).status_code == 200
    assert [call.status for call in server.api_requests] == [200, 401, 200, 200]
    assert {call.body for call in server.api_requests} == {b"body"}
    assert len(server.token_requests) == 2


def test_auth_objects_made_anew_for_each_call_share_one_token(
    server: MediaHoundServer, url: str
) -> None:
    for _ in range(20):
        requests.get(url, auth=auth_for(server), timeout=10).raise_for_status()
    assert len(server.api_requests) == 20
    assert len(server.token_requests) == 1


def test_a_thread_pool_shares_one_auth_object_and_one_token(
    auth: MediaHoundAuth, server: MediaHoundServer, url: str
) -> None:
    def status(number: int) -> int:
        return requests.get(f"{url}?{number}", auth=auth, timeout=10).status_code

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(status, range(32))) == [200] * 32
    assert len(server.token_requests) == 1


def test_token_requests_may_use_the_session_of_the_calls(
    session: requests.Session, server: MediaHoundServer, url: str
) -> None:
    session.auth = auth_for(server, session=session)
    assert session.get(url, timeout=10).status_code == 200
    server.revoke_tokens()
    assert session.get(url, timeout=10).status_code == 200
    assert len(server.token_requests) == 2


def test_a_streamed_response_is_left_to_the_caller_to_read(
    session: requests.Session, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    with session.get(
        f"{server.url}/stream?chunks=4", auth=auth, stream=True, timeout=10
    ) as response:
        assert not response.raw.isclosed()
        assert list(response.iter_lines()) == [b"chunk 0", b"chunk 1", b"chunk 2", b"chunk 3"]


def test_a_streamed_body_arrives_whole(auth: MediaHoundAuth, server: MediaHoundServer) -> None:
    parts = (part for part in [b"one ", b"two ", b"three"])
    answer = requests.post(f"{server.url}/echo", auth=auth, data=parts, timeout=10)
    assert answer.json()["body"] == "one two three"


def test_the_timeout_of_a_call_stays_the_caller_s_own(
    auth: MediaHoundAuth, server: MediaHoundServer, url: str
) -> None:
    auth.token()
    with server.hold_api_requests() as hold:
        with pytest.raises(requests.ReadTimeout):
            requests.get(url, auth=auth, timeout=0.3)
        hold.wait_for(1)
    assert len(server.api_requests) == 1


def test_the_timeout_of_auth_bounds_the_wait_for_a_token(
    server: MediaHoundServer, url: str
) -> None:
    auth = auth_for(server, timeout=0.3)
    # Whether the caller's wait or the socket's ends first, is luck.
    with server.hold_token_requests(), pytest.raises(mediahound_auth.TokenEndpointUnavailable):
        requests.get(url, auth=auth, timeout=60)
    assert server.api_requests == []


@pytest.mark.parametrize("whose", ["session", "call"])
def test_the_caller_s_hook_sees_the_response_once(
    whose: str, session: requests.Session, auth: MediaHoundAuth, url: str
) -> None:
    seen: list[int] = []

    def hook(response: requests.Response, **_: object) -> None:
        seen.append(response.status_code)

    if whose == "session":
        session.hooks["response"].append(hook)
    session.get(url, auth=auth, hooks={"response": hook} if whose == "call" else None, timeout=10)
    assert seen == [200]


FAILURES = [
    pytest.param(
        {"status": 401, "body": {"error": "invalid_client"}},
        mediahound_auth.InvalidClientError,
        id="client refused",
    ),
    pytest.param(
        {"status": 503, "headers": {"Retry-After": "900"}},
        mediahound_auth.TokenEndpointUnavailable,
        id="endpoint down",
    ),
    pytest.param(
        {"status": 200, "body": "<html>"}, mediahound_auth.InvalidTokenResponse, id="garbage"
    ),
    pytest.param(
        {"status": 400, "body": {"error": "invalid_scope"}},
        mediahound_auth.TokenRequestError,
        id="another OAuth error",
    ),
]


@pytest.mark.parametrize(("answer", "kind"), FAILURES)
@pytest.mark.parametrize("way", WAYS)
def test_a_failed_token_request_is_an_error_of_requests_and_carries_the_request(
    way: Way,
    answer: dict[str, Any],
    kind: type[Exception],
    session: requests.Session,
    auth: MediaHoundAuth,
    server: MediaHoundServer,
    url: str,
) -> None:
    server.respond_to_token_requests(2, **answer)
    for number in range(2):  # the second time it is the remembered failure
        with pytest.raises(requests.RequestException) as caught:
            way(session, auth, f"{url}?{number}")
        assert isinstance(caught.value, kind)
        assert isinstance(caught.value, mediahound_auth.MediaHoundAuthError)
        assert isinstance(caught.value.request, requests.PreparedRequest)
        assert caught.value.request.url == f"{url}?{number}"
        assert caught.value.response is None
    assert server.api_requests == []


def test_a_configuration_error_is_an_error_of_requests_and_a_value_error() -> None:
    with pytest.raises(mediahound_auth.ConfigurationError) as caught:
        MediaHoundAuth("id", "secret", token_url="http://api.mediahound.com/token")
    assert isinstance(caught.value, requests.RequestException)
    assert isinstance(caught.value, ValueError)


def test_session_must_be_a_requests_session() -> None:
    with pytest.raises(mediahound_auth.ConfigurationError, match=r"session.*Session, not type"):
        MediaHoundAuth("id", "secret", session=requests.Session)  # type: ignore[arg-type]


def test_headers_that_are_a_mapping_of_another_kind_get_the_token_too(
    server: MediaHoundServer,
) -> None:
    auth = auth_for(server)
    request = requests.Request("GET", server.url).prepare()
    headers: Any = {}
    request.headers = headers
    assert auth(request).headers == {"Authorization": auth.token().authorization}
