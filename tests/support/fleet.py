"""A fleet of real processes that share a store, and what is promised of it."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from mediahound_auth.testing import MediaHoundServer

TWO_WEEKS = 14 * 24 * 3600.0

# Seconds that anything may take, on a machine that is busy with other things.
PATIENCE = 60.0


class Worker:
    """One process of a fleet.

    Attributes:
        pid: its process id.
        events: what it has told and nobody has waited for yet, in order.
    """

    def __init__(self, link: socket.socket) -> None:
        self.pid = 0
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.link = link
        self._unread = b""

    def tell(self, *command: object) -> None:
        self.link.sendall(json.dumps(command).encode() + b"\n")

    def read(self) -> None:
        """Take in what it tells; called when there is something."""
        octets = self.link.recv(1 << 16)
        if not octets:
            raise EOFError
        *lines, self._unread = (self._unread + octets).split(b"\n")
        for line in lines:
            event, details = json.loads(line)
            assert event != "crashed", details["trace"]
            self.events.append((event, details))

    def has_told(self, event: str) -> bool:
        return any(event == told for told, _ in self.events)

    def pop(self, event: str) -> dict[str, Any]:
        index = [told for told, _ in self.events].index(event)
        return self.events.pop(index)[1]

    def close(self) -> None:
        self.link.close()


class Fleet:
    """So many processes, which share nothing until they `join` and share a store.

    Attributes:
        workers: those that are alive.
        server: the server that all talk to, and whose clock they share.
    """

    server: MediaHoundServer

    def __init__(self, *, workers: int = 8) -> None:
        self.workers: list[Worker] = []
        self._number = workers
        self._parent: subprocess.Popen[bytes] | None = None
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        with socket.create_server(("127.0.0.1", 0), backlog=self._number) as listener:
            program = str(Path(__file__).with_name("fleet_worker.py"))
            arguments = [str(listener.getsockname()[1]), str(self._number)]
            self._parent = subprocess.Popen([sys.executable, program, *arguments])
            self._selector.register(listener, selectors.EVENT_READ)
            while len(self.workers) < self._number:
                if self._selector.select(1.0):
                    self.workers.append(Worker(listener.accept()[0]))
                elif self._parent.poll() is not None:
                    self.__exit__(None, None, None)
                    pytest.fail("their parent has ended before its time; it has said why")
            self._selector.unregister(listener)
        for worker in self.workers:
            self._selector.register(worker.link, selectors.EVENT_READ, worker)
        for worker in self.workers:
            worker.pid = self.wait_for("ready", [worker])[0]["pid"]
        return self

    def join(
        self, server: MediaHoundServer, kind: str, place: str | Path, timeout: float = 30.0
    ) -> Self:
        """Share a store: "file" and a folder, or "redis" and a URL.

        Each worker makes a session and an auth object, whose time budget is `timeout`.
        """
        self.server = server
        url = f"{server.url}/1.3/search/all/Gladiator"
        self.tell("join", kind, str(place), server.credentials, timeout, url)
        self.wait_for("joined")
        self.forget_what_was_told()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._selector.close()
        for worker in self.workers:
            worker.close()
        if self._parent is not None:
            self._parent.wait(PATIENCE)

    def tell(self, *command: object, workers: Iterable[Worker] | None = None) -> None:
        """Let these workers (or all) do something, at the same time."""
        for worker in self.workers if workers is None else workers:
            worker.tell(*command)

    def wait_for(self, event: str, workers: Iterable[Worker] | None = None) -> list[dict[str, Any]]:
        """Wait until each of these (or all) has told `event`, and take it from what it has told."""
        chosen = list(self.workers if workers is None else workers)
        self._pump(event, lambda: all(worker.has_told(event) for worker in chosen))
        return [worker.pop(event) for worker in chosen]

    def first_to_tell(self, event: str) -> Worker:
        """Wait for the first who tells it."""
        self._pump(event, lambda: any(worker.has_told(event) for worker in self.workers))
        return next(worker for worker in self.workers if worker.has_told(event))

    def call(self, workers: Iterable[Worker] | None = None) -> set[str]:
        """Let these (or all) make an API call, which succeeds; the tokens that were carried."""
        chosen = list(self.workers if workers is None else workers)
        self.tell("call", workers=chosen)
        return self.answers(chosen)

    def answers(self, workers: Iterable[Worker] | None = None) -> set[str]:
        """Wait for the end of calls, which succeed; the tokens that were carried."""
        done = self.wait_for("done", workers)
        assert {answer["status"] for answer in done} == {200}
        return {answer["carried"].removeprefix("Bearer ") for answer in done}

    def put_the_clock_forward(self, seconds: float) -> None:
        """Let it be later by so many seconds than it really is, here and at the server."""
        self.tell("put the clock forward", seconds)
        self.wait_for("put forward")
        self.server.clock = lambda: time.time() + seconds

    def rest(self) -> None:
        """Wait until nobody renews anything."""
        self.tell("rest")
        self.wait_for("rested")

    def kill(self, worker: Worker) -> None:
        """`kill -9`: it tells nothing any more."""
        os.kill(worker.pid, signal.SIGKILL)
        self._selector.unregister(worker.link)
        self.workers.remove(worker)
        worker.close()

    @property
    def told(self) -> Counter[str]:
        """What all have told and nobody has waited for yet."""
        return Counter(event for worker in self.workers for event, _ in worker.events)

    def forget_what_was_told(self) -> None:
        """Start afresh, once nothing goes on in the background any more."""
        self.rest()
        for worker in self.workers:
            worker.events.clear()

    def _pump(self, event: str, done: Any) -> None:
        deadline = time.monotonic() + PATIENCE
        while not done():
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                pytest.fail(f"not all told {event!r}; what was told is {self.told}")
            for key, _ in ready:
                key.data.read()


class OneToken:
    """What a fleet promises; a subclass has a fixture `fleet`, which has joined `server`."""

    @pytest.fixture
    def return_same_token(self) -> bool:
        """Whether the endpoint hands the same token out until it expires, as MediaHound does."""
        return True

    @pytest.fixture
    def server(self, client_id: str, return_same_token: bool) -> Iterator[MediaHoundServer]:
        with MediaHoundServer(client_id=client_id, return_same_token=return_same_token) as server:
            yield server

    def test_a_cold_start_is_one_token_request(self, fleet: Fleet) -> None:
        with fleet.server.hold_token_requests() as hold:
            fleet.tell("call")
            # All have looked into the store, and have found nothing there.
            fleet.wait_for("locking")
            hold.wait_for(1)
        assert len(fleet.answers()) == 1
        assert len(fleet.server.token_requests) == 1
        assert fleet.told["save"] == 1
        assert not fleet.told["warning"]

    def test_an_expiry_is_one_token_request(self, fleet: Fleet) -> None:
        old = fleet.call()
        fleet.forget_what_was_told()
        fleet.put_the_clock_forward(TWO_WEEKS + 1)
        with fleet.server.hold_token_requests() as hold:
            fleet.tell("call")
            fleet.wait_for("locking")
            hold.wait_for(1)
        new = fleet.answers()
        assert len(old | new) == 2
        assert len(fleet.server.token_requests) == 2
        assert not fleet.told["warning"]

    def test_a_revocation_is_one_token_request(self, fleet: Fleet) -> None:
        old = fleet.call()
        fleet.forget_what_was_told()
        fleet.server.revoke_tokens()
        with fleet.server.hold_token_requests() as hold:
            fleet.tell("call")
            fleet.wait_for("locking")
            hold.wait_for(1)
        new = fleet.answers()
        assert len(old | new) == 2
        assert len(fleet.server.token_requests) == 2
        assert not fleet.told["warning"]

    def test_a_rejected_caller_uses_a_better_token_from_the_store(self, fleet: Fleet) -> None:
        fleet.call()
        fleet.server.revoke_tokens()
        first, *others = fleet.workers
        new = fleet.call([first])
        assert len(fleet.server.token_requests) == 2
        fleet.forget_what_was_told()
        assert fleet.call(others) == new
        assert len(fleet.server.token_requests) == 2
        # They did not even need the lock.
        assert fleet.told == {"load": len(others)}, fleet.told

    @pytest.mark.parametrize(
        "return_same_token", [True, False], ids=["the same token", "a new token"]
    )
    def test_one_process_renews_early_and_the_others_use_its_token(
        self, fleet: Fleet, return_same_token: bool
    ) -> None:
        (old,) = fleet.call()
        fleet.forget_what_was_told()
        fleet.put_the_clock_forward(TWO_WEEKS - 120)
        with fleet.server.hold_token_requests() as hold:
            # Nobody waits for the renewal.
            assert fleet.call() == {old}
            fleet.wait_for("locking")
            hold.wait_for(1)
        fleet.rest()
        assert fleet.told["save"] == 1
        fleet.forget_what_was_told()
        # Some way before the old one expires, all have what the endpoint gave.
        (new,) = fleet.call()
        assert (new == old) is return_same_token
        assert len(fleet.server.token_requests) == 2
        assert not fleet.told, f"a store was touched, or a warning given: {fleet.told}"

    def test_with_a_valid_token_no_store_is_used(self, fleet: Fleet) -> None:
        fleet.call()
        fleet.forget_what_was_told()
        for _ in range(3):
            fleet.call()
        assert not fleet.told
