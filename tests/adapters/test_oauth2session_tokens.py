"""MediaHoundSession: tokens that are kept elsewhere."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from oauth2sessions import search

from mediahound_auth import ConfigurationError
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

Told = list[dict[str, object]]


def test_token_updater_gets_each_new_token_once(
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


def test_token_updater_is_called_once_by_threads_that_call_at_once(
    server: MediaHoundServer,
) -> None:
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


def test_a_token_updater_that_raises_gets_the_token_again(
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


def test_a_stored_token_is_used_and_not_passed_to_token_updater(
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


@pytest.mark.parametrize("field", ["expires_in", "expires_at", None])
def test_its_expiry_is_a_moment_or_a_number_of_seconds_or_not_known(
    server: MediaHoundServer, field: str | None
) -> None:
    expiry = {"expires_in": 600, "expires_at": time.time() + 600}
    session = MediaHoundSession(**server.credentials)
    session.token = {"access_token": "kept"} | ({field: expiry[field]} if field else {})
    assert session.access_token == "kept"
    expires_in = session.token["expires_in"]
    assert isinstance(expires_in, int)
    assert 0 < expires_in <= (600 if field else 1_209_600)


def test_a_stored_token_that_has_expired_is_not_used(server: MediaHoundServer) -> None:
    kept = {"access_token": "kept", "expires_at": time.time() - 1}
    session = MediaHoundSession(**server.credentials, token=kept)
    assert not session.authorized
    assert search(session, server) == 200


def test_a_stored_token_that_is_older_than_the_known_one_is_not_used(
    server: MediaHoundServer,
) -> None:
    now = time.time()
    other = MediaHoundSession(**server.credentials)
    other.fetch_token()
    for kept in (
        {"access_token": "kept", "expires_at": now + 50},
        {"access_token": "kept", "expires_at": now + 50, "expires_in": 3600},
    ):
        session = MediaHoundSession(**server.credentials, token=kept)
        assert session.token == other.token
    session.token = {"access_token": "newer", "expires_at": now + 3600, "expires_in": 3000}
    assert other.access_token == "newer"


def test_an_empty_token_counts_as_no_token(server: MediaHoundServer) -> None:
    other = MediaHoundSession(**server.credentials)
    other.fetch_token()
    for none in ({}, None, {"access_token": None}, {"access_token": ""}):
        session = MediaHoundSession(**server.credentials, token=none)
        assert session.access_token == other.access_token
    session.access_token = None
    assert not session.authorized
    assert search(session, server) == 200


def test_a_token_updater_must_be_callable() -> None:
    updater: Any = "tokens.json"
    with pytest.raises(ConfigurationError, match="token_updater"):
        MediaHoundSession("id", "secret", token_updater=updater)


def test_access_token_and_token_can_be_set_and_deleted(
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
    assert source_of(MediaHoundAuth(**server.credentials)).shared.state.token is None


@pytest.mark.parametrize(
    "token",
    [
        {"expires_in": 1},
        {"access_token": "pri vate"},
        {"access_token": 123},
        {"access_token": "a", "expires_in": "soon"},
        {"access_token": "a", "expires_at": float("nan")},
        {"access_token": "a", "expires_at": float("inf")},
        {"access_token": "a", "expires_at": 10**400},
        "pri vate",
    ],
)
def test_a_dict_that_is_not_a_token_is_rejected_and_not_quoted(token: Any) -> None:
    with pytest.raises(ConfigurationError, match="access_token") as caught:
        MediaHoundSession("id", "secret", token=token)
    assert "pri vate" not in repr(caught.value.__cause__) + str(caught.value)
