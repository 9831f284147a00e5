"""The simulated world: a token endpoint, an API, and a store that several processes share."""

from __future__ import annotations

import json

from mediahound_auth._core.grant import TokenResponse
from mediahound_auth._core.lifecycle import STORE_TIMEOUT
from mediahound_auth.errors import TokenEndpointUnavailable
from mediahound_auth.token import Token
from simulation.choices import Choices
from simulation.machine import pause
from simulation.scheduler import FOREVER, Process, Task, scheduler

__all__ = ["Api", "Endpoint", "SharedStore", "StoreView"]

SLOW = (0.3, 1.0, 4.0)  # seconds


class Endpoint:
    """The token endpoint.

    Attributes:
        same: it returns the same token until that has expired.
        lifetime: of its tokens, in seconds.
        latency: seconds that half of an exchange takes; if 0, nothing but threads take turns.
        faults: what it may do wrong; nothing, if empty.
        issued: until when each access token is valid, and whose it is.
        requests: how many it has received.
        revoked_at: when tokens were revoked.
    """

    FAULTS = ("slow", "503", "retry_after", "hang", "invalid_client", "lost")

    def __init__(self, choices: Choices) -> None:
        self.same = choices.below(2) == 0
        self.lifetime = choices.of((3600.0, 100.0, 6.0, 2.0))
        self.latency = choices.of((0.01, 0.0))
        self.faults = [fault for fault in self.FAULTS if choices.chance(0.12)]
        self.issued: dict[str, tuple[str, float]] = {}
        self.requests = 0
        self.revoked_at: list[float] = []
        self._latest: dict[str, str] = {}

    def fault(self) -> str:
        """What goes wrong with this request, or ''."""
        if self.faults and scheduler.choices.chance(0.5):
            return scheduler.choices.of(self.faults)
        return ""

    def receive(self, timeout: float) -> tuple[float, str]:
        """What becomes of a token request: it takes so many seconds, and this goes wrong, or ''."""
        self.requests += 1
        fault = self.fault()
        if fault == "hang":
            return timeout, fault
        return (scheduler.choices.of(SLOW) if fault == "slow" else self.latency), fault

    def response(self, client_id: str, fault: str) -> tuple[TokenResponse, str]:
        """The response to a request that has come in, and the access token in it, or ''."""
        if fault in ("503", "retry_after"):
            headers = {"Retry-After": "2"} if fault == "retry_after" else {}
            return TokenResponse(503, headers, b"{}"), ""
        if fault == "invalid_client":
            return TokenResponse(401, {}, b'{"error": "invalid_client"}'), ""
        token = self._token(client_id)
        pause(self.latency)
        if fault == "lost":
            raise TokenEndpointUnavailable("the response was lost")
        expires_in = int(self.issued[token][1] - scheduler.time)
        fields = {"access_token": token, "token_type": "bearer", "expires_in": expires_in}
        return TokenResponse(200, {}, json.dumps(fields).encode()), token

    def _token(self, client_id: str) -> str:
        token = self._latest.get(client_id, "")
        if not (self.same and self.is_valid(token, client_id)):
            token = f"{client_id}-{len(self.issued) + 1}"
            self.issued[token] = (client_id, scheduler.time + self.lifetime)
            self._latest[client_id] = token
        return token

    def is_valid(self, token: str, client_id: str) -> bool:
        """Whether an API accepts `token`."""
        owner, expires_at = self.issued.get(token, ("", 0.0))
        if token and owner != client_id:
            scheduler.violate("no token from another grant: an API got one")
        return scheduler.time < expires_at

    def revoke(self) -> None:
        """No token is valid any more."""
        scheduler.tell("all tokens are revoked")
        self.issued = {token: (owner, 0.0) for token, (owner, _) in self.issued.items()}
        self.revoked_at.append(scheduler.time)

    def heal(self) -> None:
        """From now on, all goes well."""
        self.faults = []


class Api:
    """The API.

    Attributes:
        mood: "fair", "forbids" (one call in ten), "bad node" (one of three) or "rejects" (all).
    """

    MOODS = ("fair", "forbids", "bad node", "rejects")

    def __init__(self, choices: Choices, endpoint: Endpoint) -> None:
        self.mood = choices.of(self.MOODS) if choices.chance(0.3) else "fair"
        self._endpoint = endpoint
        self._calls = 0

    def status(self, client_id: str, token: str) -> int:
        """The HTTP status of the response to a call."""
        pause(0.005)
        self._calls += 1
        valid = self._endpoint.is_valid(token, client_id)
        turn = self._calls % {"forbids": 10, "bad node": 3}.get(self.mood, 1)
        return 200 if valid and (self.mood == "fair" or turn) else 401


class SharedStore:
    """What all processes find in a store: a file's or Redis' own side.

    Attributes:
        faults: what it may do wrong.
        failed: it has done something wrong.
        lease: seconds after which a lock is free again, whoever holds it.
    """

    FAULTS = ("slow", "down", "hang", "garbage")

    def __init__(self, choices: Choices) -> None:
        self.faults = [fault for fault in self.FAULTS if choices.chance(0.1)]
        self.failed = False
        self.lease = choices.of((FOREVER, 10.0, 0.02))
        self.tokens: dict[str, Token] = {}
        self.holder: Process | None = None
        self.held_until = 0.0
        self.waiters: list[Task] = []

    def locked(self) -> bool:
        """Whether a process holds the lock; a file's lock ends with its process."""
        if self.holder is None or self.holder.killed:
            return False
        return scheduler.time < self.held_until

    def heal(self) -> None:
        """From now on, all goes well."""
        self.faults = []


class StoreView:
    """The shared store, as one process has it: a `Store`."""

    def __init__(self, shared: SharedStore, process: Process) -> None:
        self.shared = shared
        self.process = process

    def operate(self) -> None:
        shared = self.shared
        fault = ""
        if shared.faults and scheduler.choices.chance(0.3):
            fault = scheduler.choices.of(shared.faults)
            scheduler.tell(f"store: {fault}")
            shared.failed = True
        seconds = {"slow": 1.0, "hang": 60.0}.get(fault, 0.001)
        scheduler.lost += min(seconds, STORE_TIMEOUT)
        pause(seconds)
        if fault == "down":
            raise OSError("the store is down")

    def load(self, key: str) -> Token | None:
        self.operate()
        if "garbage" in self.shared.faults and scheduler.choices.chance(0.3):
            raise ValueError("garbage")
        return self.shared.tokens.get(key)

    def save(self, key: str, token: Token) -> None:
        self.operate()
        known = self.shared.tokens.get(key)
        if known is None or known.requested_at <= token.requested_at:
            self.shared.tokens[key] = token

    def discard(self, key: str) -> None:
        self.operate()
        self.shared.tokens.pop(key, None)

    def lock(self, key: str, timeout: float) -> StoreLock:  # noqa: ARG002
        return StoreLock(self, timeout)


class StoreLock:
    """The lock of a shared store, as one process waits for it and holds it."""

    def __init__(self, view: StoreView, timeout: float) -> None:
        self._view, self._until = view, scheduler.time + timeout
        self._held_until = 0.0

    def __enter__(self) -> None:
        shared, task = self._view.shared, scheduler.current
        self._view.operate()
        while shared.locked():
            if scheduler.time >= self._until:
                scheduler.tell("store: the lock is taken")
                raise TimeoutError
            shared.waiters.append(task)
            try:
                scheduler.block(min(self._until, shared.held_until))
            finally:
                shared.waiters.remove(task)
        shared.holder, shared.held_until = self._view.process, scheduler.time + shared.lease
        self._held_until = shared.held_until
        scheduler.tell("store: locked")

    def __exit__(self, *_: object) -> None:
        scheduler.switch()
        shared = self._view.shared
        if shared.holder is self._view.process and shared.held_until == self._held_until:
            shared.holder = None
            scheduler.tell("store: unlocked")
            for waiter in shared.waiters:
                scheduler.wake(waiter)
