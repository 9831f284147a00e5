"""Many callers at once: at the start, at the expiry, at a revocation, while the endpoint is down.

What counts is how many token requests arrive at the server.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
from time import perf_counter
from typing import Any, NamedTuple

from benchmarks.contenders import STATIC, Contender, beside_static
from benchmarks.scale import Scale
from benchmarks.sessions import (
    CALLER_FETCHES,
    age_token,
    api,
    in_words,
    opened,
    plain_token,
    raised,
    serving,
)
from benchmarks.table import Column, Row, Table, Value, at_most
from mediahound_auth.testing import MediaHoundServer

# Seconds after which a herd has shown enough: it is not repeated.
TOO_SLOW = 5.0


class Herd(NamedTuple):
    """What came of many calls that were made at once.

    Attributes:
        token_requests: how many arrived at the server meanwhile.
        slowest: seconds that the slowest call took.
        outcomes: the status of each call, or what it raised.
    """

    token_requests: int
    slowest: float
    outcomes: list[str]


def cold(contenders: Iterable[Contender], scale: Scale) -> Table:
    """Nobody has a token yet."""
    contenders = list(contenders)
    herds: dict[Contender, list[Herd]] = {}
    lone: list[float] = []
    for _ in range(scale.rounds):
        lone.append(_lone_token_request(scale.token_delay))
        for arm in beside_static(contenders):
            done = herds.setdefault(arm, [])
            if not arm.fetch and not any(herd.slowest > TOO_SLOW for herd in done):
                done.append(_cold(arm, scale))
    slowest = {
        arm: statistics.median(herd.slowest for herd in done) for arm, done in herds.items() if done
    }
    least = {
        arm.kind: statistics.median(lone) + slowest[arm] for arm in herds if arm.name == STATIC
    }
    rows = []
    for arm in contenders:
        values: tuple[Value, ...] = (CALLER_FETCHES, None, None)
        if not arm.fetch:
            most = max(herd.token_requests for herd in herds[arm])
            outcomes = [outcome for herd in herds[arm] for outcome in herd.outcomes]
            values = (most, slowest[arm] / least[arm.kind], in_words(outcomes))
        rows.append(Row(arm.name, arm.kind, values))
    columns = (
        Column("token requests", reach="1", limit=at_most(1)),
        Column("slowest caller", "{:.2f} ×", "1.5 ×", at_most(1.5)),
        Column("calls", reach="all 200"),
    )
    note = (
        f"{_crowd(scale)}, without a token. A token request takes {scale.token_delay:g} s. The"
        " slowest call is compared with one token request plus the slowest of as many calls with a"
        f" static header. Median of {scale.rounds} runs."
    )
    return Table("Cold start", note, columns, rows)


def at_expiry(contenders: Iterable[Contender], scale: Scale) -> Table:
    """The token they all have has just expired."""

    def row(contender: Contender) -> Row:
        with serving() as server:
            # They are told whole seconds, rounded down.
            end = age_token(server, 3.9) + 0.1

            def expire() -> None:
                time.sleep(max(0.0, end - time.monotonic()))

            return _row_after(expire, contender, server, scale)

    note = f"{_crowd(scale)}, right after the token they have used has expired."
    return Table("At expiry", note, _columns("1"), _side_by_side(row, contenders))


def at_revocation(contenders: Iterable[Contender], scale: Scale) -> Table:
    """The token they all have has just been revoked."""

    def row(contender: Contender) -> Row:
        with serving() as server:
            return _row_after(server.revoke_tokens, contender, server, scale)

    note = f"{_crowd(scale)}, right after the token they have used has been revoked."
    return Table("At revocation", note, _columns("1"), _side_by_side(row, contenders))


def endpoint_down(contenders: Iterable[Contender], scale: Scale) -> Table:
    """The token endpoint resets every connection."""
    rows = []
    for contender in contenders:
        if contender.fetch:
            rows.append(Row(contender.name, contender.kind, (CALLER_FETCHES, None, None, None)))
            continue
        lone = _down(contender, scale._replace(threads=1, tasks=1))
        herd = _down(contender, scale)
        ratio = herd.slowest / scale.budget
        values: tuple[Value, ...] = (
            lone.token_requests,
            herd.token_requests,
            ratio,
            in_words(herd.outcomes),
        )
        rows.append(Row(contender.name, contender.kind, values))
    columns = (
        Column("token requests for 1 caller"),
        # Jitter makes it one more or one less; a budget of one second never has room for more.
        Column(f"for {scale.threads}", reach="as for 1", limit=at_most(4)),
        Column("slowest caller", "{:.2f} budgets", "1", at_most(1.2)),
        Column("calls"),
    )
    note = (
        f"The endpoint resets every connection. {scale.threads} threads or tasks call with a time"
        f" limit of {scale.budget:g} s. Only mediahound-auth has this limit and retries; the others"
        " try once for each call."
    )
    return Table("Endpoint down", note, columns, rows)


def _crowd(scale: Scale) -> str:
    return f"{scale.threads} threads or {scale.tasks} tasks call at once"


def _columns(reach: str) -> tuple[Column, ...]:
    return (
        Column("token requests", reach=reach, limit=at_most(float(reach))),
        Column("calls", reach="all 200"),
    )


def _side_by_side(row: Callable[[Contender], Row], contenders: Iterable[Contender]) -> list[Row]:
    """The row of each contender, for rows that hold no times: a few libraries at once.

    Contenders of one library take turns, since some of them share a lock.
    """
    libraries = [list(group) for _, group in groupby(contenders, key=lambda c: c.name)]
    with ThreadPoolExecutor(3) as pool:
        rows = pool.map(lambda library: [row(contender) for contender in library], libraries)
        return list(chain.from_iterable(rows))


def _lone_token_request(delay: float) -> float:
    """Seconds that one token request takes."""
    with serving() as server:
        server.token_delay = delay
        started = perf_counter()
        plain_token(server.credentials)
        return perf_counter() - started


def _cold(contender: Contender, scale: Scale) -> Herd:
    with serving() as server, asyncio.Runner() as runner:
        server.token_delay = 0.0 if contender.name == STATIC else scale.token_delay
        with opened(contender, server.credentials, runner) as opening:
            return _stampede(contender, opening.session, server, scale, runner)


def _row_after(
    event: Callable[[], None], contender: Contender, server: MediaHoundServer, scale: Scale
) -> Row:
    """The herd after `event`, which hits a session that has a token and has used it."""
    with asyncio.Runner() as runner, opened(contender, server.credentials, runner) as opening:
        opening.get(api(server)).raise_for_status()
        event()
        server.token_delay = scale.token_delay / 4
        herd = _stampede(contender, opening.session, server, scale, runner)
    return Row(contender.name, contender.kind, (herd.token_requests, in_words(herd.outcomes)))


def _down(contender: Contender, scale: Scale) -> Herd:
    with serving() as server, asyncio.Runner() as runner:
        server.drop_token_requests(math.inf)
        fewer = scale._replace(tasks=min(scale.tasks, scale.threads))
        with opened(contender, server.credentials, runner, budget=scale.budget) as opening:
            return _stampede(contender, opening.session, server, fewer, runner)


def _stampede(
    contender: Contender,
    session: Any,
    server: MediaHoundServer,
    scale: Scale,
    runner: asyncio.Runner,
) -> Herd:
    before = len(server.token_requests)
    if contender.kind == "httpx async":
        calls = runner.run(_tasks(session, api(server), scale.tasks))
    else:
        calls = _threads(session, api(server), scale.threads)
    outcomes, times = zip(*calls, strict=True)
    return Herd(len(server.token_requests) - before, max(times), list(outcomes))


Call = tuple[str, float]


def _threads(session: Any, url: str, number: int) -> list[Call]:
    calls: list[Call] = []
    # Times count from the moment that all may go, not from when a thread has got to run.
    started: list[float] = []
    ready = threading.Barrier(number, action=lambda: started.append(perf_counter()))

    def caller() -> None:
        ready.wait()
        try:
            outcome = str(session.get(url).status_code)
        except Exception as error:
            outcome = raised(error)
        calls.append((outcome, perf_counter() - started[0]))

    threads = [threading.Thread(target=caller) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return calls


async def _tasks(client: Any, url: str, number: int) -> list[Call]:
    async def caller() -> Call:
        try:
            outcome = str((await client.get(url)).status_code)
        except Exception as error:
            outcome = raised(error)
        return outcome, perf_counter() - started

    started = perf_counter()
    return await asyncio.gather(*(caller() for _ in range(number)))
