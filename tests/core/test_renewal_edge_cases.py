"""Edge cases of renewals and of the shared state."""

from __future__ import annotations

import gc
import os
import runpy
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from mediahound_auth import Token, TokenEndpointUnavailable, TokenRequestError
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core import runtime
from mediahound_auth._core import shared_state as cell
from mediahound_auth._core.endpoint import timeout_error
from mediahound_auth._core.grant import Grant
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import FileStore
from mediahound_auth.testing import MediaHoundServer


class Unhashable:
    """A store of somebody's own, which two auth objects cannot be seen to share."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable) and self.tokens == other.tokens

    def load(self, key: str) -> Token | None:
        return self.tokens.get(key)

    def save(self, key: str, token: Token) -> None:
        self.tokens[key] = token

    def discard(self, key: str) -> None:
        self.tokens.pop(key, None)

    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        del key, timeout
        yield


def test_a_store_without_a_hash_is_used_as_any_other(server: MediaHoundServer) -> None:
    store = Unhashable()
    one, other = (MediaHoundAuth(**server.credentials, store=store) for _ in range(2))
    assert one.token().access_token == other.token().access_token
    assert len(server.token_requests) == 1


def test_state_lock_works_without_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "register_at_fork", raising=False)
    elsewhere = runpy.run_path(str(runtime.__file__))
    with elsewhere["state_lock"]:
        assert elsewhere["jitter"]() < 1


def test_the_state_outlives_recreated_stores_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cell, "_latest", {})
    monkeypatch.setattr(cell, "MOST_KEPT", 2)
    grant = Grant("MyClientId", "s3cret", "https://api.example.com/token")

    def known(folder: str) -> cell.SharedTokenState:
        return cell.shared_state_for(FileStore(tmp_path / folder), grant)

    first, second = weakref.ref(known("1")), weakref.ref(known("2"))
    assert (known("1"), known("2")) == (first(), second())
    third = known("3")
    assert (known("2"), known("3")) == (second(), third)
    assert first() is None


def test_few_states_keep_a_callable_without_auth_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell, "_latest_with_callable", {})
    monkeypatch.setattr(cell, "MOST_KEPT_WITH_CALLABLE", 2)

    class Provider:
        def secret(self) -> str:
            return "s3cret"

    providers = [Provider() for _ in range(5)]
    references = [weakref.ref(provider) for provider in providers]
    for provider in providers:
        grant = Grant("MyClientId", provider.secret, "https://api.example.com/token")
        cell.shared_state_for(None, grant)
    del providers, provider, grant
    gc.collect()
    assert [reference() is not None for reference in references] == [False] * 3 + [True] * 2


def test_a_token_that_arrives_after_forget_is_returned_to_waiting_callers_only(
    server: MediaHoundServer,
) -> None:
    store = Unhashable()
    auth = MediaHoundAuth(**server.credentials, store=store)
    with ThreadPoolExecutor(1) as pool:
        with server.hold_token_requests() as hold:
            waiting = pool.submit(auth.token)
            hold.wait_for(1)
            auth.forget()
        assert waiting.result(20).access_token
    assert store.tokens == {}
    assert source_of(auth).shared.state.token is None
    auth.token()
    assert len(server.token_requests) == 2


@pytest.mark.parametrize("kind", [MediaHoundAuth, HttpxAuth], ids=["requests", "httpx"])
def test_a_renewal_that_starts_too_late_sends_no_request(
    kind: type[MediaHoundAuth | HttpxAuth], server: MediaHoundServer
) -> None:
    source = source_of(kind(**server.credentials))
    flight = source._join(waited_for=True)
    flight.deadline = flight.started
    flight._run()
    assert isinstance(flight.outcome, TokenEndpointUnavailable)
    assert str(flight.outcome) == (
        f"no response from the token endpoint {source.settings.grant.endpoint} within 30 s. "
        "If the endpoint is slow, pass a longer timeout="
    )
    assert server.token_requests == []


def test_a_timeout_error_contains_the_last_failure() -> None:
    grant = Grant("MyClientId", "s3cret", "https://api.example.com/token")
    assert str(timeout_error(grant, 4.0, 0, None)) == (
        "no response from the token endpoint https://api.example.com/token within 4 s. "
        "If the endpoint is slow, pass a longer timeout="
    )
    cause = ConnectionRefusedError("refused")
    last_error = TokenEndpointUnavailable("api.example.com answered 503")
    last_error.__cause__ = cause
    error = timeout_error(grant, 4.0, 2, last_error)
    assert str(error) == "no access token after 2 attempts in 4 s: api.example.com answered 503"
    assert error.__cause__ is cause


def test_a_token_that_comes_after_forget_is_not_used(server: MediaHoundServer) -> None:
    source = source_of(MediaHoundAuth(**server.credentials))
    renewal = source._join()
    source.shared.forget()
    source.shared.record_late(renewal, Token("late", 2e9, 1e9))
    assert source.shared.state.token is None


@pytest.mark.parametrize(("requested_at", "used"), [(1e9 + 1, True), (1e9 - 1, False)])
def test_a_token_that_comes_late_is_used_unless_there_is_a_later_one(
    requested_at: float, used: bool, server: MediaHoundServer
) -> None:
    source = source_of(MediaHoundAuth(**server.credentials))
    renewal = source._join()
    source.shared.use_if_better(Token("other", 2e9, 1e9), 0.0)
    renewal._fail(TokenEndpointUnavailable("down"), renewal.timeout)
    source.shared.renewal = None  # another one has taken over
    source.shared.record_late(renewal, Token("late", 2e9, requested_at))
    assert source.shared.state.token is not None
    assert (source.shared.state.token.access_token == "late") is used


def test_a_version_of_httpx_without_the_private_name_is_reported(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(httpx.Client, "_transport_for_url")
    with pytest.raises(TokenRequestError, match="RuntimeError") as caught:
        HttpxAuth(**server.credentials).token()
    assert "has no Client._transport_for_url" in str(caught.value.__cause__)
