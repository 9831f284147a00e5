"""A store that fails costs one warning and no call."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import pytest
import requests
from libraries import SYNC, Library
from redis_server import RedisServer
from timing import Clock, wait_for_renewals

from mediahound_auth import Store, Token
from mediahound_auth import requests as for_requests
from mediahound_auth._core import lifecycle
from mediahound_auth.stores.file import FileStore
from mediahound_auth.stores.redis import RedisStore
from mediahound_auth.testing import MediaHoundServer


class Watched:
    """A store that counts what it is asked for, and that no other auth object has."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.asked: Counter[str] = Counter()

    def load(self, key: str) -> Token | None:
        self.asked["load"] += 1
        return self._store.load(key)

    def save(self, key: str, token: Token) -> None:
        self.asked["save"] += 1
        self._store.save(key, token)

    def discard(self, key: str) -> None:
        self.asked["discard"] += 1
        self._store.discard(key)

    def lock(self, key: str, timeout: float) -> AbstractContextManager[object]:
        self.asked["lock"] += 1
        return self._store.lock(key, timeout)


class Outage(NamedTuple):
    """A store, and what breaks it and mends it."""

    store: Store
    begin: Callable[[], object]
    end: Callable[[], object]


def in_place_of_the_folder(folder: Path) -> Outage:
    aside = folder.with_name("aside")

    def begin() -> None:
        if folder.exists():
            folder.rename(aside)
        folder.write_text("not a folder")

    def end() -> None:
        folder.unlink()
        if aside.exists():
            aside.rename(folder)

    return Outage(FileStore(folder), begin, end)


def records_of(content: str, folder: Path) -> Outage:
    def begin() -> None:
        for record in folder.glob("*.json"):
            record.write_text(content)

    return Outage(FileStore(folder), begin, lambda: None)


@pytest.fixture
def redis_of_its_own() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(
    params=[
        "no folder",
        "a damaged record",
        "a record of another version",
        "a Redis that is gone",
        "a Redis that hangs",
    ]
)
def outage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Outage:
    folder = tmp_path / "tokens"
    # A machine that stands still is no outage; whose Redis hangs is told by its own time-out.
    monkeypatch.setattr(lifecycle, "STORE_TIMEOUT", 20.0)
    match request.param:
        case "no folder":
            return in_place_of_the_folder(folder)
        case "a damaged record":
            return records_of('{"format": 1, "access_tok', folder)
        case "a record of another version":
            return records_of('{"format": 2, "token": "f00"}', folder)
    redis: RedisServer = request.getfixturevalue("redis_of_its_own")
    if request.param == "a Redis that is gone":
        return Outage(RedisStore(redis.patient_url), redis.kill, redis.start)
    return Outage(RedisStore(redis.url), redis.freeze, redis.thaw)


class Caller:
    """A program that uses a store: a session, whose auth object shares nothing with others."""

    def __init__(self, server: MediaHoundServer, store: Store) -> None:
        self._url = f"{server.url}/1.3/search/all/Gladiator"
        self.store = Watched(store)
        self._auth = for_requests.MediaHoundAuth(**server.credentials, store=self.store, timeout=40)

    def call(self) -> None:
        requests.get(self._url, auth=self._auth).raise_for_status()
        # Its renewal goes on when all have the token: it gives the lock back, and takes note of
        # how the store did.
        wait_for_renewals()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "mediahound_auth" and record.levelno >= logging.WARNING
    ]


def test_an_outage_costs_one_warning_and_no_call(
    outage: Outage, server: MediaHoundServer, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caller = Caller(server, outage.store)
    caller.call()
    for n in (1, 2):
        outage.begin()
        for _ in range(2):
            clock.advance(2)  # of the package: it requests a token a second at most
            server.revoke_tokens()
            caller.call()
        assert len(warnings(caplog)) == n, warnings(caplog)
        outage.end()
        clock.advance(2)
        server.revoke_tokens()
        caller.call()
        # It is used again: another program finds there what this one has put there.
        asked = len(server.token_requests)
        Caller(server, outage.store).call()
        assert len(server.token_requests) == asked
        assert len(warnings(caplog)) == n, warnings(caplog)


def test_a_program_that_starts_during_an_outage_of_the_store_gets_its_token(
    outage: Outage, server: MediaHoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    Caller(server, outage.store).call()
    outage.begin()
    caller = Caller(server, outage.store)
    for _ in range(3):
        caller.call()
    assert len(server.token_requests) == 2
    assert len(warnings(caplog)) == 1
    outage.end()


def test_a_store_that_fails_during_the_token_request_costs_no_call(
    outage: Outage, server: MediaHoundServer
) -> None:
    caller = Caller(server, outage.store)
    caller.call()
    server.revoke_tokens()
    with server.hold_token_requests() as hold:
        calling = Thread(target=caller.call)
        calling.start()
        hold.wait_for(1)
        outage.begin()
    calling.join()
    caller.call()
    assert len(server.token_requests) == 2
    assert [call.status for call in server.api_requests] == [200, 401, 200, 200]
    outage.end()


def test_no_warning_holds_a_token(
    outage: Outage, server: MediaHoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    caller = Caller(server, outage.store)
    caller.call()
    outage.begin()
    server.revoke_tokens()
    caller.call()
    outage.end()
    tokens = {call.headers["Authorization"].removeprefix("Bearer ") for call in server.api_requests}
    assert len(tokens) == 2
    ours = [r for r in caplog.records if r.name.startswith(("mediahound_auth", "filelock"))]
    assert ours
    for record in ours:
        text = logging.Formatter().format(record)
        assert not any(secret in text for secret in (*tokens, server.client_secret))


@pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)
def test_with_a_valid_token_no_store_is_used(
    server: MediaHoundServer, tmp_path: Path, library: Library
) -> None:
    store = Watched(FileStore(tmp_path / "tokens"))
    url = f"{server.url}/1.3/search/all/Gladiator"
    with library.client(library.auth(server, store=store)) as call:
        assert call("GET", url).status_code == 200
        before = Counter(store.asked)
        for _ in range(100):
            assert call("GET", url).status_code == 200
    assert store.asked == before
    assert before["save"] == 1
