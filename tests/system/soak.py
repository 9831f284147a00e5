"""The soak: everything at once for a long time. `make soak` runs it for ten minutes, CI for one.

Threads, asyncio tasks and trio tasks call through requests and httpx with one client's credentials,
while its tokens live for a few seconds, are revoked, and the token endpoint fails and recovers. In
the end:

- every call has ended in success, or in an error that was injected when it was made;
- the token endpoint was asked no more often than the rules of lifecycle.py allow;
- memory, threads and file descriptors have not grown.

MediaHound stands in a process of its own, so that only the clients are measured.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection

import anyio
import httpx
import requests
import trio  # noqa: F401  # here, before several threads at once do so

from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.httpx import TokenEndpointUnavailable as HttpxUnavailable
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.requests import TokenEndpointUnavailable as RequestsUnavailable
from mediahound_auth.testing import Credentials, MediaHoundServer

LIFETIME = 4.0  # seconds; a real token's is two weeks
BUDGET = 2.0  # seconds, the time for one token
PATH = "/1.3/search/all/Gladiator"

# What a renewal may cost that fails: one attempt, then 0.1 s, 0.2 s, 0.4 s, 0.8 s after each other.
# The next one would come too late for the time budget.
ATTEMPTS = 5
# Seconds after an outage of the endpoint during which a call may still end in it: it is asked again
# after a cool-down, which grows with each failure in a row, and a call begun before the end may
# take its time budget.
AFTERMATH = 10.0
# Seconds for which one doubt (lifecycle.py, "Rejected") holds.
DOUBT = 1.0


def mediahound(pipe: Connection) -> None:
    """Serve, and do what comes through the pipe: methods of MediaHoundServer."""
    with MediaHoundServer(lifetime=LIFETIME) as server:
        pipe.send((server.credentials, server.url))
        while True:
            method, arguments = pipe.recv()
            if method == "stop":
                return
            if method == "count":
                pipe.send(len(server.token_requests))
                server.api_requests.clear()  # a list of everything would be memory that grows
            elif method == "expiries":
                tokens = server._issuer._tokens.values()
                pipe.send([token.expires_at for token in tokens if not token.revoked])
            else:
                answer = getattr(server, method)(*arguments[0], **arguments[1])
                pipe.send(answer)


class Soak:
    """What is going on, and what came of it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        credentials, self.url = pipe.recv()
        self.credentials: Credentials = credentials
        self.over = threading.Event()
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.faults: list[tuple[str, float, float]] = []  # which, from, to
        self.stalls: list[tuple[float, float]] = []  # the machine stood still, from, to
        self.failed: list[tuple[str, str, float, float]] = []  # kind of call, outcome, from, to
        self._lock = threading.Lock()

    def server(self, method: str, *arguments: object, **keywords: object) -> object:
        """Have a method of MediaHoundServer called."""
        self._pipe.send((method, (arguments, keywords)))
        return self._pipe.recv()

    def call(self, kind: str, began: float, outcome: str) -> None:
        """Take down how a call has ended."""
        with self._lock:
            self.outcomes[f"{kind}: {outcome}"] += 1
            # A 401, too: of a token whose last second is a fraction, when no other is to be had.
            if outcome == "200" or self._faults("endpoint down", began - AFTERMATH, math.inf):
                return
            self.failed.append((kind, outcome, began, time.time()))

    def look_at_failed(self) -> None:
        """Take down which failures nobody had injected."""
        # One token that dies under a call is mended. That leaves the replay's, or the doubt of
        # rule 5, which is there until a retry has been accepted: they meet the next death. A token
        # dies when it is revoked, or when it expires, which the client knows to the second only.
        expiries = self.server("expiries")
        assert isinstance(expiries, list)
        for kind, outcome, began, ended in self.failed:
            # A machine that stands still for a time budget is an outage as any other.
            if any(since <= ended and began - AFTERMATH <= until for since, until in self.stalls):
                continue
            if outcome != "401":
                self.wrong.append(f"{kind} ended in {outcome}, which nobody had injected")
                continue
            deaths = self._faults("revoked", began - DOUBT, ended)
            deaths += sum(began - DOUBT - 1 <= expiry <= ended for expiry in expiries)
            if deaths < 2:
                self.wrong.append(f"{kind} ended in 401, {deaths} tokens having died lately")

    def _faults(self, fault: str, since: float, until: float) -> int:
        return sum(w == fault and since <= end and start <= until for w, start, end in self.faults)

    def fault(self, which: str, seconds: float) -> None:
        """One fault, for so long."""
        with self._lock:
            start = time.time()
            self.faults.append((which, start, math.inf))
        if which == "endpoint down":
            self.server("respond_to_token_requests", math.inf, status=503)
            self.over.wait(seconds)
            self.server("respond_to_token_requests", 0)
        else:
            self.server("revoke_tokens")
        with self._lock:
            self.faults[-1] = (which, start, time.time())

    def trouble(self, seed: int) -> None:
        """Faults at random moments, until it is over."""
        chance = random.Random(seed)
        while not self.over.wait(chance.uniform(0.5, 3.0)):
            if chance.random() < 0.7:
                self.fault("revoked", 0.0)
            else:
                self.fault("endpoint down", chance.uniform(0.5, 6.0))
                self.over.wait(AFTERMATH)

    def bound(self, seconds: float) -> int:
        """The most token requests that the rules allow for what has happened."""
        # Two for each token: one for it, and one early, which brings the same token once more.
        most = 2 * (seconds / LIFETIME + 1 + len(self.faults))
        for which, start, end in self.faults:
            # While the endpoint is down: budget after budget, and between them a cool-down that
            # doubles from a second on.
            moment, cool_down = start, 1.0
            while which == "endpoint down" and moment <= end:
                most += ATTEMPTS
                moment += 1.5 + cool_down
                cool_down *= 2
        return math.ceil(most)


def with_requests(soak: Soak) -> None:
    with requests.Session() as session:
        session.auth = RequestsAuth(**soak.credentials, timeout=BUDGET)
        while not soak.over.is_set():
            began = time.time()
            try:
                response = session.get(soak.url + PATH, timeout=30)
                soak.call("requests", began, str(response.status_code))
            except RequestsUnavailable:
                soak.call("requests", began, "unavailable")
            soak.over.wait(0.01)


def with_httpx(soak: Soak) -> None:
    with httpx.Client(auth=HttpxAuth(**soak.credentials, timeout=BUDGET), timeout=30) as client:
        while not soak.over.is_set():
            began = time.time()
            try:
                soak.call("httpx", began, str(client.post(soak.url + PATH).status_code))
            except HttpxUnavailable:
                soak.call("httpx", began, "unavailable")
            soak.over.wait(0.01)


async def one_task(soak: Soak, client: httpx.AsyncClient, kind: str) -> None:
    began = time.time()
    try:
        soak.call(kind, began, str((await client.get(soak.url + PATH)).status_code))
    except HttpxUnavailable:
        soak.call(kind, began, "unavailable")


def asynchronous(soak: Soak) -> httpx.AsyncClient:
    # A pool closes what has been idle for 5 s: how many are open tells how busy it was lately.
    limits = httpx.Limits(keepalive_expiry=None)
    auth = HttpxAuth(**soak.credentials, timeout=BUDGET)
    return httpx.AsyncClient(auth=auth, timeout=30, limits=limits)


def with_tasks(soak: Soak, backend: str) -> None:
    async def task(client: httpx.AsyncClient) -> None:
        while not soak.over.is_set():
            await one_task(soak, client, f"httpx on {backend}")
            await anyio.sleep(0.05)

    async def main() -> None:
        async with asynchronous(soak) as client, anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(task, client)

    anyio.run(main, backend=backend)


def sample() -> tuple[float, float, float]:
    """Memory in MB, threads, file descriptors."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        pages = int(statm.read().split()[1])
    descriptors = len(os.listdir("/proc/self/fd"))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, threading.active_count(), descriptors


def growth(samples: list[tuple[float, float, float]]) -> list[str]:
    """What has grown between the second quarter and the last one."""
    quarter = len(samples) // 4
    found = []
    allowed = {"memory (MB)": (1.05, 3.0), "threads": (1.0, 2.0), "file descriptors": (1.0, 5.0)}
    for (name, (factor, more)), values in zip(
        allowed.items(), zip(*samples, strict=True), strict=True
    ):
        early = statistics.median(values[quarter : 2 * quarter])
        late = statistics.median(values[-quarter:])
        print(f"  {name:<18}{early:8.1f} → {late:.1f}")
        if late > early * factor + more:
            found.append(f"{name} have grown from {early:.1f} to {late:.1f}")
    return found


def main(seconds: float, seed: int) -> int:
    """Run for so many seconds; 0 if all is as it should be."""
    print(f"a soak of {seconds:g} s, seed {seed}")
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=mediahound, args=(theirs,), daemon=True)
    process.start()
    soak = Soak(ours)
    ways: list[Callable[[Soak], None]] = [with_httpx, with_httpx]
    ways += [partial(with_tasks, backend=backend) for backend in ("asyncio", "trio")]
    ways += [with_requests, with_requests, with_requests, with_requests]
    threads = [threading.Thread(target=way, args=(soak,)) for way in ways]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    trouble = threading.Thread(target=soak.trouble, args=(seed,))
    trouble.start()
    samples = []
    while time.monotonic() < began + seconds:
        before = time.time()
        time.sleep(0.5)
        if time.time() - before > 1.5:
            soak.stalls.append((before, time.time()))
        samples.append(sample())
        if not all(thread.is_alive() for thread in threads):
            soak.wrong.append("a caller has died of an error of another kind; see above")
            break
    soak.over.set()
    for thread in [*threads, trouble]:
        thread.join(60)
        if thread.is_alive():
            soak.wrong.append("a call hangs")
    took = time.monotonic() - began
    asked, bound = soak.server("count"), soak.bound(took)
    soak.look_at_failed()
    for outcome, n in sorted(soak.outcomes.items()):
        print(f"  {outcome:<30}{n:7}")
    print("  stalls:", [f"{until - since:.1f} s" for since, until in soak.stalls])
    print("  faults:", dict(Counter(which for which, _, _ in soak.faults)))
    print(f"  token requests: {asked}, the rules allow {bound}")
    wrong = [*dict.fromkeys(soak.wrong), *growth(samples)]
    if not isinstance(asked, int) or asked > bound:
        wrong.append("more token requests than the rules allow")
    soak._pipe.send(("stop", None))
    process.join(10)
    print(*(f"WRONG: {what}" for what in wrong or []), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    duration = float(sys.argv[1]) if len(sys.argv) > 1 else 600.0
    start = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(1_000_000)
    sys.exit(main(duration, start))
