"""StoreContract: the tests that your own store has to pass.

```python
import pytest
from mediahound_auth.testing import StoreContract

class TestMyStore(StoreContract):
    @pytest.fixture
    def store(self):
        return MyStore()
```

It tests one store object from several threads. Test yourself that other processes and machines
share its tokens and locks.
"""

from __future__ import annotations

import hashlib
import random
import string
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = ["StoreContract"]

# Seconds after which a test fails.
PATIENCE = 30.0

# Seconds that a test waits for a lock that is held.
BRIEFLY = 0.2


class StoreContract:
    """Tests for a store. Inherit in a class named `Test…` that has a fixture `store`.

    The store need not be empty: each test uses new keys.
    """

    def test_it_is_a_store(self, store: Store) -> None:
        """The object has all methods of the protocol."""
        assert isinstance(store, Store), "load, save, discard and lock are needed"

    def test_nothing_is_found_where_nothing_was_saved(self, store: Store) -> None:
        """`load` returns None."""
        assert store.load(_key()) is None

    def test_a_token_comes_back_with_all_its_fields(self, store: Store) -> None:
        """`load` returns an equal Token, with times to the microsecond."""
        now = time.time()
        for token in (
            _token(requested_at=now),
            Token("a", expires_at=now + 60.123456, requested_at=now, returned_again=True),
            Token("b", expires_at=now + 1_209_600, requested_at=now, scope="one two ü \N{KEY}"),
            Token(string.digits + string.ascii_letters + string.punctuation, now + 60, now),
            Token("long" * 10_000, expires_at=now + 60, requested_at=now),
        ):
            key = _key()
            store.save(key, token)
            found = store.load(key)
            assert isinstance(found, Token)
            assert found.replace(expires_at=0, requested_at=0) == token.replace(
                expires_at=0, requested_at=0
            )
            assert abs(found.expires_at - token.expires_at) < 1e-6
            assert abs(found.requested_at - token.requested_at) < 1e-6

    def test_a_token_that_was_requested_later_takes_the_place(self, store: Store) -> None:
        """The expiry does not matter: MediaHound's tokens all have the same one."""
        key, now = _key(), time.time()
        store.save(key, _token(requested_at=now, name="earlier"))
        store.save(key, _token(requested_at=now + 1, name="later"))
        assert _name(store.load(key)) == "later"

    def test_a_token_that_was_requested_earlier_does_not(self, store: Store) -> None:
        """A delayed response does not replace a newer token."""
        key, now = _key(), time.time()
        store.save(key, _token(requested_at=now, name="later"))
        store.save(key, _token(requested_at=now - 0.01, name="earlier"))
        assert _name(store.load(key)) == "later"

    def test_a_token_that_was_requested_at_the_same_time_takes_the_place(
        self, store: Store
    ) -> None:
        """The same token may be saved again, with another `returned_again`."""
        key = _key()
        token = _token(requested_at=time.time())
        store.save(key, token)
        store.save(key, token.replace(returned_again=True))
        found = store.load(key)
        assert found is not None
        assert found.returned_again

    def test_of_many_saved_at_once_the_one_that_was_requested_last_stays(
        self, store: Store
    ) -> None:
        """`save` compares and replaces atomically, also without the lock."""
        key, now = _key(), time.time()
        tokens = [_token(requested_at=now + i / 100, name=str(i)) for i in range(40)]
        random.shuffle(tokens)
        start = threading.Barrier(8)

        def save(some: list[Token]) -> None:
            start.wait(PATIENCE)
            for token in some:
                store.save(key, token)

        with ThreadPoolExecutor(8) as pool:
            for saving in [pool.submit(save, tokens[i::8]) for i in range(8)]:
                saving.result(PATIENCE)
        assert _name(store.load(key)) == "39"

    def test_a_discarded_token_is_gone(self, store: Store) -> None:
        """Another token can be saved then, even if it was requested earlier."""
        key, now = _key(), time.time()
        store.save(key, _token(requested_at=now, name="first"))
        store.discard(key)
        assert store.load(key) is None
        store.save(key, _token(requested_at=now - 1, name="second"))
        assert _name(store.load(key)) == "second"

    def test_nothing_can_be_discarded_too(self, store: Store) -> None:
        """`discard` does not raise if nothing was saved."""
        store.discard(_key())

    def test_keys_are_independent(self, store: Store) -> None:
        """Saving or discarding a token does not change that of another key."""
        one, other, now = _key(), _key(), time.time()
        store.save(one, _token(requested_at=now, name="one"))
        store.save(other, _token(requested_at=now - 1, name="other"))
        assert (_name(store.load(one)), _name(store.load(other))) == ("one", "other")
        store.discard(one)
        assert store.load(one) is None
        assert _name(store.load(other)) == "other"

    def test_a_lock_excludes_others_who_give_up_in_time(self, store: Store) -> None:
        """`lock` raises TimeoutError after `timeout` seconds, and can be called again."""
        key = _key()
        with _held_by_another_thread(store, key):
            for timeout in (BRIEFLY, 0.0):
                _expect_timeout(store, key, timeout)
        with store.lock(key, PATIENCE):
            pass

    def test_whoever_waits_gets_the_lock_when_it_is_released(self, store: Store) -> None:
        """A thread that waits gets the lock when it is released."""
        key, got = _key(), threading.Event()

        def wait() -> None:
            with store.lock(key, PATIENCE):
                got.set()

        with ThreadPoolExecutor(1) as pool:
            with _held_by_another_thread(store, key):
                waiting = pool.submit(wait)
                assert not got.wait(BRIEFLY), "two threads hold the lock"
            waiting.result(PATIENCE)

    def test_only_one_at_a_time_holds_the_lock(self, store: Store) -> None:
        """Eight threads take the lock several times each."""
        key, start = _key(), threading.Barrier(8)
        holders: list[int] = []

        def renew() -> None:
            start.wait(PATIENCE)
            for _ in range(3):
                with store.lock(key, PATIENCE):
                    holders.append(threading.get_ident())
                    assert holders == [threading.get_ident()], "two threads hold the lock"
                    holders.remove(threading.get_ident())

        with ThreadPoolExecutor(8) as pool:
            for renewing in [pool.submit(renew) for _ in range(8)]:
                renewing.result(PATIENCE)

    def test_each_key_has_a_lock_of_its_own(self, store: Store) -> None:
        """The lock of one key does not block another key."""
        with _held_by_another_thread(store, _key()), store.lock(_key(), 0.0):
            pass

    def test_an_exception_under_the_lock_releases_it_and_passes(self, store: Store) -> None:
        """The lock is free again after a failed renewal."""
        key = _key()
        error, caught = RuntimeError("a failed renewal"), None
        try:
            with store.lock(key, PATIENCE):
                raise error
        except RuntimeError as passed:
            caught = passed
        assert caught is error, "the lock has swallowed the exception"
        with _held_by_another_thread(store, key):
            pass

    def test_tokens_are_loaded_saved_and_discarded_under_the_lock(self, store: Store) -> None:
        """The thread with the lock can load, save and discard, and other threads can load."""
        key = _key()
        with store.lock(key, PATIENCE), ThreadPoolExecutor(1) as pool:
            assert store.load(key) is None
            store.save(key, _token(requested_at=time.time(), name="new"))
            assert _name(store.load(key)) == "new"
            assert _name(pool.submit(store.load, key).result(PATIENCE)) == "new"
            store.discard(key)
            assert store.load(key) is None


def _key() -> str:
    """Return a new key of the kind that MediaHoundAuth uses."""
    return hashlib.sha256(uuid.uuid4().bytes).hexdigest()


def _token(*, requested_at: float, name: str = "f00-ba7") -> Token:
    return Token(name, requested_at + 3600, requested_at, scope="public_profile")


def _name(token: Token | None) -> str | None:
    return None if token is None else token.access_token


@contextmanager
def _held_by_another_thread(store: Store, key: str) -> Iterator[None]:
    held: Future[None] = Future()
    release = threading.Event()

    def hold() -> None:
        with store.lock(key, PATIENCE):
            held.set_result(None)
            release.wait(PATIENCE)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        holding.add_done_callback(_fails(held))
        try:
            held.result(PATIENCE)
            yield
        finally:
            release.set()
        holding.result(PATIENCE)


def _fails(held: Future[None]) -> Callable[[Future[None]], None]:
    """Return a callback that sets the exception of the locking thread on the future `held`."""

    def ended(holding: Future[None]) -> None:
        error = holding.exception()
        if error is not None and not held.done():
            held.set_exception(error)

    return ended


def _expect_timeout(store: Store, key: str, timeout: float) -> None:
    try:
        with store.lock(key, timeout):
            raise AssertionError("two threads hold the lock")
    except TimeoutError:
        pass
