"""All stores pass StoreContract, and faulty ones do not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from redis_server import RedisServer

from mediahound_auth import MemoryStore, Store, Token
from mediahound_auth._core import runtime
from mediahound_auth.stores import file
from mediahound_auth.stores.file import FileStore
from mediahound_auth.stores.redis import RedisStore
from mediahound_auth.testing import contract

pytestmark = pytest.mark.once

KEY = Fernet.generate_key()


class TestMemoryStore(contract.StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestFileStore(contract.StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        monkeypatch.setattr(
            file, "SAVE_LOCK_TIMEOUT", contract.PATIENCE
        )  # a busy machine stops anybody
        return FileStore(tmp_path / "tokens")


class TestEncryptedFileStore(contract.StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        monkeypatch.setattr(file, "SAVE_LOCK_TIMEOUT", contract.PATIENCE)
        return FileStore(tmp_path / "tokens", encryption_key=KEY)


class TestRedisStore(contract.StoreContract):
    @pytest.fixture
    def store(self, redis_server: RedisServer) -> Store:
        return RedisStore(redis_server.patient_url)


class TestRedisStoreWithDecodedResponses(contract.StoreContract):
    @pytest.fixture
    def store(self, redis_server: RedisServer) -> Iterator[Store]:
        with redis_server.client(decode_responses=True) as client:
            yield RedisStore(client=client)


class TestEncryptedRedisStore(contract.StoreContract):
    @pytest.fixture
    def store(self, redis_server: RedisServer) -> Store:
        return RedisStore(redis_server.patient_url, encryption_key=KEY)


class TestEncryptedRedisStoreWithDecodedResponses(contract.StoreContract):
    @pytest.fixture
    def store(self, redis_server: RedisServer) -> Iterator[Store]:
        with redis_server.client(decode_responses=True) as client:
            yield RedisStore(client=client, encryption_key=KEY)


class Forgetful(MemoryStore):
    def load(self, key: str) -> None:  # noqa: ARG002
        return None


class LastOneWins(MemoryStore):
    def save(self, key: str, token: Token) -> None:
        self.discard(key)
        super().save(key, token)


class FirstOneWins(MemoryStore):
    def save(self, key: str, token: Token) -> None:
        if self.load(key) is None:
            super().save(key, token)


class OneForAll(MemoryStore):
    def load(self, key: str) -> Token | None:  # noqa: ARG002
        return super().load("")

    def save(self, key: str, token: Token) -> None:  # noqa: ARG002
        super().save("", token)


class NoScope(MemoryStore):
    def save(self, key: str, token: Token) -> None:
        super().save(key, token.replace(scope=None))


class Hoarder(MemoryStore):
    def discard(self, key: str) -> None:
        pass


class DiscardRaises(MemoryStore):
    def discard(self, key: str) -> None:
        del self._tokens[key]


class NoLock(MemoryStore):
    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:  # noqa: ARG002
        yield


class OneLock(MemoryStore):
    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:  # noqa: ARG002
        with super().lock("", timeout):
            yield


class OtherError(MemoryStore):
    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        lock = self._locks.setdefault(key, runtime.new_lock())
        if not lock.acquire(timeout=timeout):
            raise RuntimeError("locked")
        try:
            yield
        finally:
            lock.release()


class KeepsTheLock(MemoryStore):
    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        lock = self._locks.setdefault(key, runtime.new_lock())
        if not lock.acquire(timeout=min(timeout, 0.2)):
            raise TimeoutError
        yield
        lock.release()


class Swallows(MemoryStore):
    @contextmanager
    def lock(self, key: str, timeout: float) -> Iterator[None]:
        with super().lock(key, timeout), suppress(RuntimeError):
            yield


@pytest.mark.parametrize(
    ("store", "test"),
    [
        (Forgetful(), "test_a_token_comes_back_with_all_its_fields"),
        (NoScope(), "test_a_token_comes_back_with_all_its_fields"),
        (FirstOneWins(), "test_a_token_that_was_requested_later_takes_the_place"),
        (FirstOneWins(), "test_a_token_that_was_requested_at_the_same_time_takes_the_place"),
        (LastOneWins(), "test_a_token_that_was_requested_earlier_does_not"),
        (OneForAll(), "test_keys_are_independent"),
        (Hoarder(), "test_a_discarded_token_is_gone"),
        (DiscardRaises(), "test_nothing_can_be_discarded_too"),
        (NoLock(), "test_a_lock_excludes_others_who_give_up_in_time"),
        (NoLock(), "test_whoever_waits_gets_the_lock_when_it_is_released"),
        (OtherError(), "test_a_lock_excludes_others_who_give_up_in_time"),
        (OneLock(), "test_each_key_has_a_lock_of_its_own"),
        (KeepsTheLock(), "test_an_exception_under_the_lock_releases_it_and_passes"),
        (Swallows(), "test_an_exception_under_the_lock_releases_it_and_passes"),
        (object(), "test_it_is_a_store"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_store_that_breaks_the_contract_fails_the_test_that_says_so(
    store: Store, test: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "BRIEFLY", 2.0)  # in which a thread gets to run on any machine
    with pytest.raises((AssertionError, KeyError, RuntimeError, TimeoutError)):
        getattr(contract.StoreContract(), test)(store)
