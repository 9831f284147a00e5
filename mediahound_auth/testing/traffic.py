"""Received requests and planned responses of MediaHoundServer, without sockets and OAuth.

There is one `Traffic` for the token endpoint and one for the API.
"""

from __future__ import annotations

import json
import math
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Literal


@dataclass(eq=False, repr=False, slots=True)
class ReceivedRequest:
    """A request that the server received.

    Its repr shows the method, the path without its query, and the status, so that a failing
    assertion prints no secret and no token.

    Attributes:
        method: The HTTP method, in capitals.
        path: The request target, with the query.
        headers: The headers. Names are case-insensitive.
        body: The body, without chunked transfer encoding.
        raw: The bytes of the request line, the headers and the body, with chunked encoding.
        status: The status of the response, set before the response is sent. None until then, and
            if the connection was dropped.
    """

    method: str
    path: str
    headers: Message
    body: bytes
    raw: bytes
    status: int | None = None

    def __repr__(self) -> str:
        """Show the method, the path without its query, and the status."""
        path = self.path.partition("?")[0]
        return f"ReceivedRequest(method={self.method!r}, path={path!r}, status={self.status})"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. A Content-Length is added unless the headers frame the body."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    @classmethod
    def of(
        cls, status: int, body: bytes | str | Mapping[str, object], headers: Mapping[str, str]
    ) -> Answer:
        """Return a response with this body: text as UTF-8, a mapping as JSON."""
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            if "content-type" not in {name.lower() for name in headers}:
                headers = {"Content-Type": "application/json;charset=UTF-8", **headers}
            body = json.dumps(body).encode()
        return cls(status, dict(headers), body)


class HeldRequests:
    """Requests whose responses are held, so that a test can act in between."""

    def __init__(self) -> None:
        """Hold the response to every request from now on, until `release`."""
        self._changed = threading.Condition()
        self._arrived = 0
        self._released = False

    def wait_for(self, n: int, timeout: float = 10.0) -> None:
        """Block until `n` requests are held, for `timeout` seconds at most.

        Raises:
            TimeoutError: Fewer than `n` requests have arrived.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrived >= n, timeout):
                raise TimeoutError(f"{self._arrived} of {n} requests arrived within {timeout} s")

    def release(self) -> None:
        """Send the held responses, and hold no more."""
        with self._changed:
            self._released = True
            self._changed.notify_all()

    def _detain(self) -> None:
        """Block this thread until `release`; return at once afterwards."""
        with self._changed:
            if not self._released:
                self._arrived += 1
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._released)


Planned = Answer | Literal["drop"]


class Traffic:
    """The requests to one endpoint, and the planned responses to the next ones."""

    def __init__(self) -> None:
        """Start without requests and plans."""
        self.requests: list[ReceivedRequest] = []
        self._lock = threading.Lock()
        self._plans: deque[tuple[float, Planned]] = deque()
        self._hold: HeldRequests | None = None
        self._closed = False

    def plan(self, n: float, planned: Planned) -> None:
        """Plan this response for the next `n` requests, after earlier plans. 0 clears all plans.

        A plan for math.inf requests ends with the next plan.
        """
        if not (n == math.inf or (n >= 0 and n == int(n))):
            raise ValueError(f"n must be a whole number or math.inf, not {n!r}")
        with self._lock:
            if n == 0:
                self._plans.clear()
                return
            if self._plans and self._plans[-1][0] == math.inf:
                self._plans.pop()
            self._plans.append((n, planned))

    def arrive(self, request: ReceivedRequest) -> Planned | None:
        """Record the request, wait while it is held, and return the planned response.

        Plans are assigned in the order of arrival.
        """
        with self._lock:
            self.requests.append(request)
            planned = None
            if self._plans:
                left, planned = self._plans.popleft()
                if left > 1:
                    self._plans.appendleft((left - 1, planned))
            hold = self._hold
        if hold is not None:
            hold._detain()
        return planned

    @contextmanager
    def hold(self) -> Iterator[HeldRequests]:
        """Hold the responses inside the block."""
        hold = HeldRequests()
        with self._lock:
            if self._hold is not None:
                raise RuntimeError("these requests are held already; there is one hold at a time")
            if self._closed:
                raise RuntimeError("the server has been stopped; there is nothing to hold")
            self._hold = hold
        try:
            yield hold
        finally:
            with self._lock:
                self._hold = None
            hold.release()

    def close(self) -> None:
        """Send all held responses, and hold no more."""
        with self._lock:
            self._closed = True
            hold = self._hold
        if hold is not None:
            hold.release()
