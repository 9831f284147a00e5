"""Any interleaving of what several processes do to one store, beside a model of it.

Hypothesis chooses who does what next, and who is killed. A token that was requested earlier never
replaces a later one, nobody ever reads half a token, one process at most holds the lock, and the
lock of a process that was killed is free again.
"""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis_server import RedisServer
from store_worker import work

pytestmark = pytest.mark.once

WORKERS = 3


# A process that has imported all of it, and whose forks are the workers: one is killed so often.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["mediahound_auth.stores.file", "mediahound_auth.stores.redis", "cryptography.fernet"]
)


class Pool:
    """Processes that work on one store; whoever is killed is replaced."""

    def __init__(self, kind: str, place: str, encryption_key: str) -> None:
        self.kind = kind
        self._store = (kind, place, encryption_key)
        self._workers = [self._start() for _ in range(WORKERS)]

    def _start(self) -> tuple[ForkServerProcess, Connection[Any, Any]]:
        ours, theirs = FORKS.Pipe()
        process = FORKS.Process(target=work, args=(theirs, *self._store), daemon=True)
        process.start()
        theirs.close()
        return process, ours

    def tell(self, worker: int, what: str, key: str, *rest: object) -> Any:
        """Have it done, and return what came of it."""
        [answer] = self.tell_all([(worker, (what, key, *rest))])
        return answer

    def tell_all(self, orders: list[tuple[int, tuple[object, ...]]]) -> list[Any]:
        """Have all of it done, each worker at its own pace, and return what came of each."""
        for worker, order in orders:
            self._workers[worker][1].send(order)
        return [self._answer(worker, order) for worker, order in orders]

    def _answer(self, worker: int, order: tuple[object, ...]) -> Any:
        pipe = self._workers[worker][1]
        assert pipe.poll(30), f"{order[0]} hangs"
        return pipe.recv()

    def kill(self, worker: int) -> None:
        """End that process at once."""
        process, pipe = self._workers[worker]
        process.kill()
        process.join()
        process.close()
        pipe.close()
        self._workers[worker] = self._start()

    def close(self) -> None:
        """End all of them."""
        for process, pipe in self._workers:
            pipe.close()
            process.join(30)
            assert process.exitcode == 0
            process.close()


@pytest.fixture(params=["file", "encrypted file", "redis"])
def pool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pool]:
    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        pool = Pool("redis", server.patient_url, "")
    else:
        key = Fernet.generate_key().decode() if "encrypted" in request.param else ""
        pool = Pool("file", str(tmp_path / "tokens"), key)
    yield pool
    pool.close()


WORKER = st.integers(0, WORKERS - 1)
AGES = st.sampled_from([0.0, 1.0, 1.0, 5.0, 60.0])  # seconds since a token was requested


def machine(pool: Pool) -> type[RuleBasedStateMachine]:
    """The model, for this pool."""

    class Interleaving(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.key = uuid.uuid4().hex * 2
            self.saved: tuple[str, float] | None = None  # name, and when it was requested
            self.holder: int | None = None
            self.names = 0

        @rule(worker=WORKER, age=AGES)
        def save(self, worker: int, age: float) -> None:
            self.names += 1
            name = f"token-{self.names}-" + "x" * (self.names % 3 * 2000)
            moment = pool.tell(worker, "save", self.key, name, age)
            if self.saved is None or self.saved[1] <= moment:
                self.saved = (name, moment)

        @rule(worker=WORKER)
        def load(self, worker: int) -> None:
            found = pool.tell(worker, "load", self.key)
            assert (found and (found[0], found[2])) == self.saved

        @rule(burst=st.lists(st.tuples(WORKER, st.none() | AGES), min_size=4, max_size=12))
        def load_and_save_at_the_same_time(self, burst: list[tuple[int, float | None]]) -> None:
            orders: list[tuple[int, tuple[object, ...]]] = []
            for worker, age in burst:
                self.names += age is not None
                name = f"token-{self.names}-" + "x" * (self.names % 3 * 2000)
                loads = ("load", self.key)
                orders.append((worker, loads if age is None else ("save", self.key, name, age)))
            answers = pool.tell_all(orders)
            done = list(zip(orders, answers, strict=True))
            saved = [(str(order[2]), moment) for (_, order), moment in done if order[0] == "save"]
            known = [*saved, *([self.saved] if self.saved else [])]
            for (_, order), found in done:
                if order[0] == "load" and found:
                    assert (found[0], found[2]) in known, "half a token, or one of nobody"
                    assert not self.saved or found[2] >= self.saved[1], "an earlier one"
                elif order[0] == "load":
                    assert not self.saved, "it was gone for a moment"
            found = pool.tell(0, "load", self.key)
            assert bool(found) is bool(known)
            if found:
                self.saved = (found[0], found[2])
                assert self.saved in known
                assert found[2] == max(moment for _, moment in known), "a later one was replaced"

        @rule(worker=WORKER)
        def discard(self, worker: int) -> None:
            pool.tell(worker, "discard", self.key)
            self.saved = None

        @precondition(lambda self: self.holder is None)
        @rule(worker=WORKER)
        def lock(self, worker: int) -> None:
            assert pool.tell(worker, "lock", self.key) is True
            self.holder = worker

        @precondition(lambda self: self.holder is not None)
        @rule(worker=WORKER)
        def lock_what_another_one_holds(self, worker: int) -> None:
            if worker != self.holder:
                assert pool.tell(worker, "lock", self.key) is False

        @precondition(lambda self: self.holder is not None)
        @rule()
        def unlock(self) -> None:
            assert self.holder is not None
            pool.tell(self.holder, "unlock", self.key)
            self.holder = None

        # A lock in Redis is a lease: it ends by itself, but not at once.
        @precondition(lambda self: pool.kind != "redis" or self.holder is None)
        @rule(worker=WORKER)
        def kill(self, worker: int) -> None:
            pool.kill(worker)
            if worker == self.holder:
                self.holder = None

        @invariant()
        def all_see_the_same(self) -> None:
            if self.names % 4 == 3:
                found = [pool.tell(worker, "load", self.key) for worker in range(WORKERS)]
                assert all(one == found[0] for one in found)

        def teardown(self) -> None:
            if self.holder is not None:
                pool.tell(self.holder, "unlock", self.key)

    return Interleaving


def test_any_interleaving_is_as_the_model_says(pool: Pool) -> None:
    run_state_machine_as_test(
        machine(pool),
        settings=settings(
            max_examples=settings().max_examples // 5,
            stateful_step_count=20,
            suppress_health_check=list(HealthCheck),
        ),
    )
