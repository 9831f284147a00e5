"""Edge cases of the public API that fit nowhere else."""

from __future__ import annotations

import asyncio
import importlib
import io
import os
import pickle
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from cryptography.fernet import Fernet
from libraries import call
from timing import eventually, let_time_run_out

import mediahound_auth.stores
from mediahound_auth import (
    ConfigurationError,
    MemoryStore,
    Token,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._adapters.token_transport import read_bounded
from mediahound_auth._core import renewal
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth, _Hook
from mediahound_auth.stores import FileStore, file
from mediahound_auth.testing import MediaHoundServer


def a_token() -> Token:
    return Token("f00-ba7", time.time() + 60, time.time())


# Stores


def test_where_files_have_no_owners_the_store_works_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_POSIX", False)
    store, token = FileStore(tmp_path / "tokens"), a_token()
    assert store.load("ab") is None
    store.save("ab", token)
    assert store.load("ab") == token


def test_permissions_that_cannot_be_removed_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    with pytest.raises(PermissionError, match="accessible to other users"):
        FileStore(tmp_path).save("ab", a_token())


def test_a_memory_store_in_a_forked_child_inherits_no_held_lock() -> None:
    store = MemoryStore()
    with store.lock("ab", 1):
        store._pid = -1  # as it looks from a child
        with store.lock("ab", 1):
            assert store.load("ab") is None


def test_an_unknown_store_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="DiskStore"):
        mediahound_auth.stores.DiskStore  # noqa: B018


# Libraries that are missing


def test_a_key_without_cryptography_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    key = Fernet.generate_key()
    monkeypatch.delitem(sys.modules, "cryptography.fernet")
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ModuleNotFoundError, match=r"mediahound-auth\[encryption\]"):
        FileStore(encryption_key=key)


@pytest.mark.parametrize(
    ("module", "library", "extra"),
    [
        ("oauth2session", "requests_oauthlib", "requests-oauthlib"),
        ("stores.redis", "redis", "redis"),
        ("stores.file", "filelock", "file"),
    ],
)
def test_an_error_for_a_missing_library_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, module: str, library: str, extra: str
) -> None:
    name = f"mediahound_auth.{module}"
    importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ModuleNotFoundError, match=rf"mediahound-auth\[{extra}\]"):
        importlib.import_module(name)


# Adapters


def test_a_task_forgets_a_token_too(server: MediaHoundServer) -> None:
    auth = HttpxAuth(**server.credentials)
    auth.token()
    asyncio.run(auth.aforget())
    auth.token()
    assert len(server.token_requests) == 2


def test_a_closed_client_is_reported(server: MediaHoundServer) -> None:
    client = httpx.Client()
    client.close()
    with pytest.raises(TokenRequestError, match="RuntimeError") as caught:
        HttpxAuth(**server.credentials, client=client).token()
    assert "closed" in str(caught.value.__cause__)


def test_a_ca_bundle_that_is_not_there_is_reported_and_not_tried_again(client_id: str) -> None:
    with requests.Session() as session:
        session.verify = "/nowhere/ca.pem"
        auth = MediaHoundAuth(client_id, "secret", session=session)
        with pytest.raises(TokenEndpointUnavailable, match=r"/nowhere/ca\.pem"):
            auth.token()


class Pipe(io.BytesIO):
    """Knows where it is, but cannot go back."""

    def seek(self, offset: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation(f"seek to {offset}, {whence}")


def test_a_file_that_cannot_go_back_is_not_sent_again(server: MediaHoundServer) -> None:
    auth = HttpxAuth(**server.credentials)
    auth.token()
    server.revoke_tokens()
    reply = httpx.post(f"{server.url}/echo", content=Pipe(b"Gladiator"), auth=auth)
    assert reply.status_code == 401
    assert len(server.api_requests) == 1


class ClosesItself(io.BytesIO):
    """A file as some libraries have it: read to its end, it is closed."""

    def read(self, size: int | None = -1, /) -> bytes:
        octets = super().read(size)
        if not octets:
            self.close()
        return octets


@pytest.mark.parametrize("library", [requests, httpx])
def test_a_file_that_is_closed_by_then_is_not_sent_again(
    library: Any, server: MediaHoundServer
) -> None:
    auth = (MediaHoundAuth if library is requests else HttpxAuth)(**server.credentials)
    auth.token()
    server.revoke_tokens()
    body = {"data" if library is requests else "content": ClosesItself(b"Gladiator")}
    assert library.post(f"{server.url}/echo", auth=auth, **body).status_code == 401
    assert library.post(f"{server.url}/echo", auth=auth).status_code == 200


def test_a_hook_out_of_a_pickle_does_nothing() -> None:
    hook, response = _Hook(MediaHoundAuth("id", "secret")), requests.Response()
    assert b"secret" not in pickle.dumps(hook)
    assert pickle.loads(pickle.dumps(hook))(response) is response


def test_a_request_prepared_without_cookies_is_sent_again(server: MediaHoundServer) -> None:
    auth = MediaHoundAuth(**server.credentials)
    auth.token()
    server.revoke_tokens()
    request = requests.PreparedRequest()
    request.prepare_method("GET")
    request.prepare_url(f"{server.url}/echo", None)
    request.prepare_headers({})
    request.prepare_hooks(None)
    request.prepare_auth(auth)
    with requests.Session() as session:
        assert session.send(request, timeout=10).status_code == 200


def test_a_response_that_is_incomplete_at_the_time_limit_is_a_timeout() -> None:
    chunks = iter([b"half ", b"the answer"])
    with pytest.raises(TimeoutError):
        read_bounded(chunks, time.monotonic() - 1)
    assert list(chunks) == [b"the answer"], "nobody has waited for the rest"


# The source


@pytest.mark.usefixtures("clock")
def test_a_callable_that_fails_is_remembered_for_a_moment(server: MediaHoundServer) -> None:
    asked: list[None] = []

    def secret() -> str:
        asked.append(None)
        raise LookupError

    auth = MediaHoundAuth(server.client_id, secret, token_url=server.token_url)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="LookupError"):
            auth.token()
    assert len(asked) == 1


def test_no_caller_is_left_waiting_after_an_unexpected_error(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: object) -> Token:
        raise ZeroDivisionError

    monkeypatch.setattr(renewal, "request_token", ask)
    with pytest.raises(TokenRequestError, match="ZeroDivisionError"):
        MediaHoundAuth(**server.credentials).token()


def test_a_callable_that_is_too_slow_for_its_caller_serves_the_next_one(
    server: MediaHoundServer,
) -> None:
    asked, slow = threading.Event(), threading.Event()

    def secret() -> str:
        asked.set()
        slow.wait(20)
        return server.client_secret

    auth = MediaHoundAuth(server.client_id, secret, token_url=server.token_url)
    caller = source_of(auth).get_token()
    let_time_run_out(next(caller)[0], asked)
    outcome = renewal.run_steps(caller)
    assert isinstance(outcome, TokenEndpointUnavailable)
    assert "within 30 s" in str(outcome)
    slow.set()
    eventually(lambda: source_of(auth).shared.state.token is not None)
    assert auth.token().access_token


def test_a_renewal_in_progress_during_forget_serves_waiting_callers_only(
    server: MediaHoundServer,
) -> None:
    asked, slow = threading.Event(), threading.Event()
    calls: list[None] = []

    def secret() -> str:
        calls.append(None)
        if len(calls) == 1:
            asked.set()
            slow.wait(20)
        return server.client_secret

    auth = MediaHoundAuth(server.client_id, secret, token_url=server.token_url)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(auth.token)
        assert asked.wait(20)
        auth.forget()
        slow.set()
        assert waiting.result(20).access_token
    assert source_of(auth).shared.state.token is None


# The stand-in


def test_the_fake_server_prints_its_own_errors(
    server: MediaHoundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    divisors = chain([0], repeat(1))
    server.clock = lambda: time.time() / next(divisors)
    assert MediaHoundAuth(**server.credentials).token()
    eventually(lambda: "ZeroDivisionError" in capsys.readouterr().err)


def test_a_planned_response_keeps_its_own_date_and_content_type(server: MediaHoundServer) -> None:
    headers = {"Date": "today", "Content-Type": "text/odd"}
    server.respond_to_api_requests(1, status=200, body={"a": 1}, headers=headers)
    reply = requests.get(server.url, timeout=10)
    assert (reply.headers["Date"], reply.headers["Content-Type"]) == ("today", "text/odd")
    assert reply.json() == {"a": 1}


def test_the_random_numbers_of_a_program_that_seeds_them_stay_the_same(
    server: MediaHoundServer,
) -> None:
    random.seed(1)
    seeded = random.getstate()
    server.respond_to_token_requests(1, status=503)
    assert call(server, MediaHoundAuth(**server.credentials)) == 200
    assert len(server.token_requests) == 2
    assert random.getstate() == seeded
