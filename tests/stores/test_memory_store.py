"""MemoryStore."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mediahound_auth import MemoryStore, Store, Token
from mediahound_auth._core import runtime

NOW = time.time()


def a_token(name: str = "one", *, at: float = 0.0, lifetime: float = 1000.0) -> Token:
    return Token(name, NOW + at + lifetime, NOW + at)


def test_it_is_a_store() -> None:
    assert isinstance(MemoryStore(), Store)


def test_a_saved_token_is_found_under_its_key_only() -> None:
    store = MemoryStore()
    assert store.load("a") is None
    store.save("a", a_token("one"))
    store.save("b", a_token("two"))
    assert store.load("a") == a_token("one")
    assert store.load("b") == a_token("two")


@pytest.mark.parametrize(
    ("first", "then", "kept"),
    [
        pytest.param(a_token("one", at=1), a_token("two", at=2), "two", id="a newer one"),
        pytest.param(a_token("one", at=1), a_token("two", at=1), "two", id="one just as new"),
        pytest.param(a_token("one", at=2), a_token("two", at=1), "one", id="an older one"),
    ],
)
def test_a_token_is_kept_unless_another_was_requested_later(
    first: Token, then: Token, kept: str
) -> None:
    store = MemoryStore()
    store.save("a", first)
    store.save("a", then)
    found = store.load("a")
    assert found is not None
    assert found.access_token == kept


def test_a_discarded_token_is_gone() -> None:
    store = MemoryStore()
    store.save("a", a_token("one", at=2))
    store.save("b", a_token("two"))
    store.discard("a")
    store.discard("a")
    assert store.load("a") is None
    assert store.load("b") == a_token("two")
    store.save("a", a_token("three", at=1))
    assert store.load("a") == a_token("three", at=1)


@pytest.mark.parametrize("timeout", [0.0, 0.01, -1.0])
def test_a_lock_that_is_held_cannot_be_had_within_the_time(timeout: float) -> None:
    store = MemoryStore()
    with store.lock("a", 1.0), pytest.raises(TimeoutError), store.lock("a", timeout):
        pytest.fail("two hold it")


def test_the_lock_of_another_key_is_free() -> None:
    store = MemoryStore()
    with store.lock("a", 0.0), store.lock("b", 0.0) as held:
        assert held is None


def test_another_stores_lock_is_free() -> None:
    with MemoryStore().lock("a", 0.0), MemoryStore().lock("a", 0.0) as held:
        assert held is None


def test_a_lock_is_free_again_whatever_happened_under_it() -> None:
    store = MemoryStore()
    with pytest.raises(OSError, match="down"), store.lock("a", 0.0):
        raise OSError("down")
    with store.lock("a", 0.0) as held:
        assert held is None


def test_a_waiting_caller_gets_the_lock_when_it_is_free() -> None:
    store = MemoryStore()
    waiting, held = threading.Event(), threading.Event()

    def wait() -> bool:
        waiting.set()
        with store.lock("a", 30.0):
            return held.is_set()

    with ThreadPoolExecutor(1) as pool:
        with store.lock("a", 0.0):
            waiter = pool.submit(wait)
            waiting.wait(30)
            held.set()
        assert waiter.result(30)


def test_one_at_a_time_holds_the_lock() -> None:
    store, start = MemoryStore(), threading.Barrier(16)
    inside: list[int] = []
    most = 0

    def visit(number: int) -> None:
        nonlocal most
        start.wait(30)
        for _ in range(50):
            with store.lock("a", 30.0):
                inside.append(number)
                most = max(most, len(inside))
                inside.remove(number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(visit, range(16)))
    assert most == 1


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda store: pickle.loads(pickle.dumps(store))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_a_copied_memory_store_is_empty_and_works(
    duplicate: Callable[[MemoryStore], MemoryStore],
) -> None:
    store = MemoryStore()
    store.save("a", a_token())
    with store.lock("a", 0.0):
        twin = duplicate(store)
        assert twin.load("a") is None
        with twin.lock("a", 0.0):
            twin.save("a", a_token("two"))
    assert twin.load("a") == a_token("two")
    assert store.load("a") == a_token()


FORK = """
import os
from mediahound_auth import MemoryStore, Token

store = MemoryStore()
store.save("a", Token("one", 1000, 0))
with store.lock("a", 0.0):
    child = os.fork()
    if child == 0:
        with store.lock("a", 0.0):
            found = store.load("a")
            try:
                with store.lock("a", 0.0):
                    os._exit(2)
            except TimeoutError:
                os._exit(found != Token("one", 1000, 0))
    _, status = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(status)
    try:
        with store.lock("a", 0.0):
            status = "the parent has lost its lock"
    except TimeoutError:
        pass
raise SystemExit(status)
"""


def test_a_lock_that_a_forked_child_leaves_is_not_that_of_another_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The child leaves a lock that was taken before the fork, while it holds one of its own."""
    store = MemoryStore()
    before, after = store.lock("a", 0.0), store.lock("a", 0.0)
    before.__enter__()
    monkeypatch.setattr(runtime, "process_id", lambda: -1)
    with after:
        before.__exit__(None, None, None)
        with pytest.raises(TimeoutError), store.lock("a", 0.0):
            pytest.fail("two hold it")


def test_a_forked_child_has_the_tokens_and_all_locks_free() -> None:
    subprocess.run([sys.executable, "-c", FORK], check=True, timeout=60)


def test_the_tokens_of_10_000_clients_are_dropped_after_their_expiry() -> None:
    store = MemoryStore()
    store.save("valid", a_token("valid"))
    for number in range(10_000):
        with store.lock(str(number), 0.0):
            store.save(str(number), a_token(str(number), at=-60, lifetime=30))
    assert store.load("valid") == a_token("valid")
    assert len(pickled(store)) < 10_000


def test_valid_tokens_are_all_kept() -> None:
    store = MemoryStore()
    for number in range(1000):
        store.save(str(number), a_token(str(number)))
    assert all(store.load(str(number)) for number in range(1000))


def pickled(store: MemoryStore) -> bytes:
    """All that is in it but its locks, which cannot be pickled."""
    contents = vars(store)
    assert not contents["_locks"]
    return pickle.dumps(contents["_tokens"])


def test_no_token_is_shown() -> None:
    store = MemoryStore()
    store.save("a", a_token("t0ken"))
    assert "t0ken" not in repr(store)
