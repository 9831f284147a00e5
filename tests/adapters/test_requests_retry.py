"""Retries after a 401 with requests."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import pytest
import requests
from requests.auth import AuthBase, HTTPDigestAuth

from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

CONTENT = b"line one\r\nline two \xff\n" * 5000  # more than fits into one buffer
DIGEST = {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'}


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def auth(server: MediaHoundServer, session: requests.Session) -> MediaHoundAuth:
    """The session's auth, with a token that the API is going to reject."""
    options: dict[str, Any] = {**server.credentials}
    session.auth = auth = MediaHoundAuth(**options)
    auth.token()
    server.revoke_tokens()
    return auth


def content_file(path: Path) -> Path:
    path.write_bytes(CONTENT)
    return path


def file_at(offset: int, path: Path) -> IO[bytes]:
    file = content_file(path).open("rb")
    file.seek(offset)
    return file


def close(body: object) -> None:
    getattr(body, "close", bool)()


Body = Callable[[Path], dict[str, Any]]

BODIES = [
    pytest.param(lambda _: {}, b"", id="none"),
    pytest.param(lambda _: {"data": CONTENT}, CONTENT, id="bytes"),
    pytest.param(lambda _: {"data": "Zoë"}, "Zoë".encode(), id="str"),
    pytest.param(lambda _: {"data": {"a": "1 2", "b": "ü"}}, b"a=1+2&b=%C3%BC", id="form"),
    pytest.param(lambda _: {"json": {"a": [1, None]}}, b'{"a": [1, null]}', id="json"),
    pytest.param(lambda _: {"data": io.BytesIO(CONTENT)}, CONTENT, id="BytesIO"),
    pytest.param(lambda path: {"data": file_at(0, path)}, CONTENT, id="file"),
    pytest.param(lambda path: {"data": file_at(7, path)}, CONTENT[7:], id="file at an offset"),
]


@pytest.mark.usefixtures("auth")
@pytest.mark.parametrize(("body", "sent"), BODIES)
def test_a_retry_is_the_same_request_with_another_token(
    body: Body, sent: bytes, session: requests.Session, server: MediaHoundServer, tmp_path: Path
) -> None:
    url = f"{server.url}/echo?a=b&c"
    given = body(tmp_path / "file")
    answer = session.put(url, headers={"X-Own": "1"}, timeout=10, **given)
    close(given.get("data"))
    rejected, retried = server.api_requests
    assert (rejected.status, retried.status, answer.status_code) == (401, 200, 200)
    assert rejected.body == retried.body == sent
    assert (retried.method, retried.path) == ("PUT", "/echo?a=b&c")
    before, after = dict(rejected.headers), dict(retried.headers)
    assert before.pop("Authorization") != after.pop("Authorization")
    assert before == after
    assert after["X-Own"] == "1"
    assert len(server.token_requests) == 2


@pytest.mark.usefixtures("auth")
def test_uploaded_files_are_whole_after_a_retry(
    session: requests.Session, server: MediaHoundServer, tmp_path: Path
) -> None:
    with content_file(tmp_path / "file").open("rb") as file:
        files = {"file": file, "memory": io.BytesIO(b"in memory")}
        session.post(f"{server.url}/echo", files=files, data={"a": "1"}, timeout=10)
    rejected, retried = server.api_requests
    assert retried.status == 200
    assert rejected.body == retried.body
    assert CONTENT in retried.body
    assert b"in memory" in retried.body


class NoWayBack(io.BytesIO):
    """A file that says where it is and cannot go back there."""

    def seek(self, *_: int) -> int:
        raise OSError("no way back")


def pipe() -> IO[bytes]:
    end, other = os.pipe()
    with os.fdopen(other, "wb") as writer:
        writer.write(b"only once")
    return os.fdopen(end, "rb")


@pytest.mark.usefixtures("auth")
@pytest.mark.parametrize(
    ("once", "sent"),
    [
        pytest.param(lambda: iter([b"only ", b"once"]), b"only once", id="iterator"),
        pytest.param(lambda: (part for part in [b"only ", b"once"]), b"only once", id="generator"),
        pytest.param(pipe, b"only once", id="pipe"),
        pytest.param(lambda: NoWayBack(b"only once"), b"only once", id="file without a way back"),
    ],
)
def test_a_body_that_cannot_be_sent_again_is_not_retried(
    once: Callable[[], Any], sent: bytes, session: requests.Session, server: MediaHoundServer
) -> None:
    first, second = once(), once()
    answer = session.post(f"{server.url}/echo", data=first, timeout=10)
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_token"
    session.post(f"{server.url}/echo", data=second, timeout=10).raise_for_status()
    close(first)
    close(second)
    assert [(call.status, call.body) for call in server.api_requests] == [(401, sent), (200, sent)]
    assert len(server.token_requests) == 2


@pytest.mark.usefixtures("auth")
def test_the_history_has_the_rejected_request_without_its_token(
    session: requests.Session, server: MediaHoundServer
) -> None:
    answer = session.get(f"{server.url}/echo", timeout=10)
    [first] = answer.history
    assert (first.status_code, answer.status_code) == (401, 200)
    _, retried = server.api_requests
    assert first.request.headers["Authorization"] == "Bearer ***"
    assert answer.request.headers["Authorization"] == retried.headers["Authorization"]
    assert first.json()["error"] == "invalid_token"


@pytest.mark.usefixtures("auth")
def test_elapsed_is_that_of_the_retry(session: requests.Session, server: MediaHoundServer) -> None:
    started = perf_counter()
    answer = session.get(f"{server.url}/echo", timeout=10)
    whole = timedelta(seconds=perf_counter() - started)
    assert timedelta(0) < answer.elapsed < whole - answer.history[0].elapsed


@pytest.mark.usefixtures("auth")
@pytest.mark.parametrize("whose", ["session", "call"])
def test_the_caller_s_hook_sees_the_final_response_only(
    whose: str, session: requests.Session, server: MediaHoundServer
) -> None:
    seen: list[int] = []

    def hook(response: requests.Response, **_: object) -> None:
        seen.append(response.status_code)

    if whose == "session":
        session.hooks["response"].append(hook)
    hooks = {"response": hook} if whose == "call" else None
    session.get(f"{server.url}/echo", hooks=hooks, timeout=10)
    assert seen == [200]
    assert len(server.api_requests) == 2


@pytest.mark.usefixtures("auth")
def test_a_cookie_that_came_with_the_401_goes_into_the_retry_and_the_session(
    session: requests.Session, server: MediaHoundServer
) -> None:
    server.respond_to_api_requests(1, status=401, headers={"Set-Cookie": "visit=1; Path=/"})
    assert session.get(f"{server.url}/echo", timeout=10).status_code == 200
    assert [call.headers["Cookie"] for call in server.api_requests] == [None, "visit=1"]
    assert session.cookies["visit"] == "1"


@pytest.mark.parametrize("known", ["no cookie", "session cookie", "call cookie", "cookie header"])
@pytest.mark.parametrize("came", ["visit=2; Path=/", "other=2; Path=/", "visit=; Max-Age=0"])
def test_cookies_are_handled_as_digest_authentication_handles_them(
    known: str, came: str, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    def cookies_sent(auth: AuthBase) -> list[str | None]:
        server.respond_to_api_requests(1, status=401, headers={"Set-Cookie": came, **DIGEST})
        server.respond_to_api_requests(1, status=200)
        before = len(server.api_requests)
        with requests.Session() as session:
            if known == "session cookie":
                session.cookies.set("visit", "1")
            session.get(
                f"{server.url}/echo",
                auth=auth,
                cookies={"visit": "1"} if known == "call cookie" else None,
                headers={"Cookie": "visit=1"} if known == "cookie header" else None,
                timeout=10,
            )
            kept = f"kept: {sorted(session.cookies.items())}"
        return [*(call.headers["Cookie"] for call in server.api_requests[before:]), kept]

    ours = cookies_sent(auth)
    assert len(ours) == 3, "two calls, and what the session has kept"
    assert ours == cookies_sent(HTTPDigestAuth("user", "password"))


@pytest.mark.parametrize("status", [302, 307])
def test_a_redirect_of_the_retry_carries_the_new_token(
    status: int, auth: MediaHoundAuth, session: requests.Session, server: MediaHoundServer
) -> None:
    answer = session.post(
        f"{server.url}/redirect?to=/echo&status={status}", data=io.BytesIO(CONTENT), timeout=10
    )
    assert answer.status_code == 200
    assert [call.status for call in server.api_requests] == [401, status, 200]
    new = auth.token().authorization
    old, *others = [call.headers["Authorization"] for call in server.api_requests]
    assert old != new
    assert others == [new, new]
    bodies = [call.body for call in server.api_requests]
    assert bodies == [CONTENT, CONTENT, b"" if status == 302 else CONTENT]
    assert len(server.token_requests) == 2


@pytest.mark.parametrize(
    ("return_same_token", "statuses"),
    [(False, [401, 401]), (True, [401])],
    ids=["another token: one replay", "the same token: none"],
)
def test_a_401_after_the_retry_is_returned_unchanged(
    return_same_token: bool, statuses: list[int], client_id: str
) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=return_same_token) as server:
        options: dict[str, Any] = {**server.credentials}
        auth = MediaHoundAuth(**options)
        auth.token()
        server.reject_api_requests = True
        answer = requests.post(f"{server.url}/echo", data=b"x", auth=auth, timeout=10)
        assert answer.status_code == 401
        assert answer.json()["error_description"] == "Access token rejected"
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
        assert [call.status for call in server.api_requests] == statuses
        assert len(server.token_requests) == 2


@pytest.mark.usefixtures("auth")
def test_a_401_is_returned_if_no_other_token_can_be_requested(
    session: requests.Session, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(1, status=400, body={"error": "invalid_scope"})
    answer = session.get(f"{server.url}/echo", timeout=10)
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_token"
    assert len(server.api_requests) == 1
