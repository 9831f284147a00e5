"""StoreSession: the order of operations, and machines without running threads."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from timing import wait_until_blocked

from mediahound_auth import MemoryStore, Token
from mediahound_auth._core import lifecycle
from mediahound_auth._core.grant import Grant
from mediahound_auth._core.store_session import StoreHealth, StoreSession


class Elsewhere(MemoryStore):
    """A store that might hang, and so gets a thread."""


class Gone(MemoryStore):
    """A store that cannot be reached."""

    def load(self, key: str) -> Token | None:
        raise ConnectionError(key)


def test_a_store_session_that_succeeds_during_an_outage_does_not_end_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "mediahound_auth")
    health = StoreHealth(Grant("id", "secret", "https://localhost/token"))
    with StoreSession(MemoryStore(), "key", health, 30) as begun_before:
        begun_before.load()
        with StoreSession(Gone(), "key", health, 30) as during:
            assert during.load() is None
    with StoreSession(Gone(), "key", health, 30) as during:
        assert during.load() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with StoreSession(MemoryStore(), "key", health, 30) as during:
        during.load()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


class Interrupted(Exception):
    """Raised by a signal handler."""


@contextmanager
def session_with_handler(store: MemoryStore, handle: Callable[..., None]) -> Iterator[StoreSession]:
    """A session with `store`, while `handle` handles SIGUSR1."""
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        health = StoreHealth(Grant("id", "secret", "https://localhost/token"))
        with StoreSession(store, "key", health, 30) as session:
            yield session
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_exception_of_a_signal_handler_is_not_a_failure_of_the_store(
    caplog: pytest.LogCaptureFixture,
) -> None:
    main, over = threading.main_thread(), threading.Event()

    class Interrupting(MemoryStore):
        def load(self, key: str) -> Token | None:
            assert main.ident
            wait_until_blocked(os.getpid())
            signal.pthread_kill(main.ident, signal.SIGUSR1)
            over.wait(20)
            return super().load(key)

    def handle(*_: object) -> None:
        over.set()
        raise Interrupted

    with session_with_handler(Interrupting(), handle) as session, pytest.raises(Interrupted):
        session.load()
    assert caplog.records == []


@pytest.mark.parametrize("trouble", ["never run", "cannot be had"])
def test_where_threads_do_not_run_the_store_is_used_all_the_same(
    trouble: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        started.append(thread)
        if trouble == "cannot be had":
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(lifecycle, "THREAD_START_TIMEOUT", 0.01)
    store, token = Elsewhere(), Token("t0ken", time.time() + 60, time.time())
    health = StoreHealth(Grant("id", "secret", "https://localhost/token"))
    with StoreSession(store, "key", health, 30) as during:
        assert during.load() is None
        assert during.lock(5)
        [thread] = started
        thread.run()  # at last: there is nothing left for it to do
        during.save(token, replaces=None)
        assert during.load() == token
    assert store.load("key") == token
    with store.lock("key", 0):
        assert caplog.records == []


def test_where_threads_do_not_run_a_store_that_fails_costs_a_warning_as_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    monkeypatch.setattr(lifecycle, "THREAD_START_TIMEOUT", 0.01)
    store, token = Elsewhere(), Token("t0ken", time.time() + 60, time.time())

    def fail(key: str, token: Token) -> None:  # noqa: ARG001
        raise OSError(key)

    monkeypatch.setattr(store, "save", fail)
    health = StoreHealth(Grant("id", "secret", "https://localhost/token"))
    with StoreSession(store, "key", health, 30) as session:
        assert session.load() is None
        session.save(token, replaces=None)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_signal_handler_that_raises_while_the_caller_uses_the_store_is_no_failure_of_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Interrupting(MemoryStore):
        def load(self, key: str) -> Token | None:
            signal.raise_signal(signal.SIGUSR1)
            return super().load(key)

    def handle(*_: object) -> None:
        raise Interrupted

    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    monkeypatch.setattr(lifecycle, "THREAD_START_TIMEOUT", 0.01)
    with session_with_handler(Interrupting(), handle) as session, pytest.raises(Interrupted):
        session.load()
    assert caplog.records == []


def test_a_store_in_memory_that_fails_costs_a_warning_as_well(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = MemoryStore()

    def fail(key: str) -> Token | None:
        raise OSError(key)

    monkeypatch.setattr(store, "load", fail)
    health = StoreHealth(Grant("id", "secret", "https://localhost/token"))
    with StoreSession(store, "key", health, 30) as session:
        assert session.load() is None
        assert session.lock(0), "nothing more is tried"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert health.failing
