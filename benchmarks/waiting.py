"""What a token request does to everything else: to the event loop, and to calls under way."""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from time import perf_counter
from typing import Any

from benchmarks.contenders import OURS, STATIC, Contender, beside_static, static_headers
from benchmarks.scale import Scale
from benchmarks.sessions import (
    Opened,
    api,
    in_words,
    opened,
    raised,
    serving,
    serving_elsewhere,
    slow_api,
)
from benchmarks.table import Column, Row, Table, Value, at_most
from mediahound_auth.testing import MediaHoundServer

WORKERS = 8

# Seconds that a token request and a call to the API take, where calls during renewals are timed.
TOKEN_DELAY, API_DELAY = 0.1, 0.01


def event_loop(contenders: Iterable[Contender], scale: Scale) -> Table:
    """How long the event loop is held while a token is fetched."""
    rows = []
    for arm in beside_static(contenders):
        if arm.kind == "httpx async":
            # What holds the loop by itself does so each time; what else the machine does, does not.
            gap = min(_longest_gap(arm, scale.held) for _ in range(scale.rounds))
            rows.append(Row(arm.name, arm.kind, (gap * 1000,)))
    note = (
        "The longest pause of an event loop that should run every millisecond, while a token"
        f" request takes {scale.held:g} s. The shortest of {scale.rounds} runs. The static"
        " header has a sleep in place of the token request."
    )
    limit = {"httpx async": 20.0}
    columns = (Column("event loop held", "{:.0f} ms", "20 ms", limit),)
    return Table("Event loop", note, columns, rows)


def during_renewals(contenders: Iterable[Contender], scale: Scale) -> Table:
    """What calls take while a renewal runs in the background, beside calls with a static header."""
    rows, contenders = [], [arm for arm in contenders if arm.name == OURS]  # others do not renew so
    with (
        serving_elsewhere(token_delay=TOKEN_DELAY, return_same_token=False) as (credentials, _),
        slow_api(API_DELAY) as origin,
        asyncio.Runner() as runner,
    ):
        for arm in contenders:
            (static,) = (one for one in static_headers() if one.kind == arm.kind)
            with (
                opened(static, credentials, runner) as beside,
                opened(arm.with_origin(origin), credentials, runner) as opening,
            ):
                during = _During(arm, opening, beside, f"{origin}/")
                for _ in range(scale.calls // 2):
                    during.renew()
            rows.append(Row(arm.name, arm.kind, during.values()))
    note = (
        f"One call after another, each to an API that takes {API_DELAY * 1000:g} ms, during a"
        f" renewal whose token request takes {TOKEN_DELAY * 1000:g} ms. They are compared with"
        " as many calls with a static header afterwards. Endpoint, API and caller are separate"
        " processes. The median of all calls, and the slowest call of each renewal: the median"
        f" of {scale.calls // 2} renewals."
    )
    columns = (
        Column("median call", "{:.2f} ×", "1.5 ×", at_most(1.5)),
        Column("slowest call", "{:.2f} ×", "1.5 ×", at_most(1.5)),
        Column("slowest call: longer by", "{:.1f} ms"),
        Column("calls", reach="all 200"),
    )
    return Table("Calls during a renewal", note, columns, rows)


def under_load(contenders: Iterable[Contender], scale: Scale) -> Table:
    """A token runs out while calls follow one another, and the next one differs from it."""
    rows = []
    for contender in contenders:
        # Everybody takes its token for over, or nearly, that long after it was issued.
        lifetime = scale.life + contender.leeway
        with (
            serving(return_same_token=False, lifetime=lifetime) as server,
            asyncio.Runner() as runner,
        ):
            with opened(contender, server.credentials, runner) as opening:
                opening.get(api(server)).raise_for_status()
                load = _Load(server, scale)
                load.run(opening.session, runner if contender.kind == "httpx async" else None)
            values = (len(server.token_requests) - 1, load.slowed(), in_words(load.outcomes))
            rows.append(Row(contender.name, contender.kind, values))
    note = (
        f"{WORKERS} threads or tasks call without a pause. About {scale.life:g} s after the"
        f" token was issued, a renewal is due, and the endpoint takes {scale.life / 40:g} s to"
        " respond. The calls that ended during the renewal, compared with those in an equal"
        " time before it."
    )
    columns = (
        Column("token requests"),
        Column("slowed meanwhile", "{:.1f} ×", "1 × and noise", at_most(2)),
        Column("calls", reach="all 200"),
    )
    return Table("Renewal under load", note, columns, rows)


def _longest_gap(arm: Contender, held: float) -> float:
    """The longest time between two ticks of the loop while the first token is fetched."""
    with serving() as server, asyncio.Runner() as runner:
        client = arm.session(server.credentials)
        server.token_delay = held

        async def watch() -> float:
            ticks = [perf_counter()]
            done = asyncio.Event()

            async def tick() -> None:
                while not done.is_set():
                    await asyncio.sleep(0.001)
                    ticks.append(perf_counter())

            async with client:
                ticking = asyncio.create_task(tick())
                await asyncio.sleep(0.01)
                if arm.fetch:
                    await arm.fetch(client)
                if arm.name == STATIC:
                    await asyncio.sleep(held)
                (await client.get(api(server))).raise_for_status()
                done.set()
                await ticking
            return max(later - earlier for earlier, later in pairwise(ticks))

        gc.collect()
        return runner.run(watch())


class _During:
    """Calls with our auth object during renewals, and as many with a static header after each."""

    def __init__(self, arm: Contender, opening: Opened, beside: Opened, url: str) -> None:
        self._auth = arm.auth(opening.session)
        self._opening = opening
        self._beside = beside
        self._url = url
        self._outcomes: list[str] = []
        self._ours: list[list[float]] = []
        self._static: list[list[float]] = []
        for one in (opening, beside):
            one.call(url)  # it connects, and gets the first token

    def renew(self) -> None:
        """Start a renewal, and call until it is over."""
        renewing = threading.Thread(target=self._auth.renew)
        renewing.start()
        times = [self._call(self._opening)]
        while renewing.is_alive():
            times.append(self._call(self._opening))
        renewing.join()
        self._ours.append(times)
        self._static.append([self._call(self._beside) for _ in times])

    def values(self) -> tuple[Value, ...]:
        medians, slowest = (
            [statistics.median(map(measure, runs)) for runs in (self._ours, self._static)]
            for measure in (statistics.median, max)
        )
        added = (slowest[0] - slowest[1]) * 1000
        ratios = (medians[0] / medians[1], slowest[0] / slowest[1])
        return (*ratios, added, in_words(self._outcomes))

    def _call(self, opening: Opened) -> float:
        started = perf_counter()
        outcome = opening.call(self._url)
        ended = perf_counter()
        self._outcomes.append(outcome)
        return ended - started


class _Load:
    """Calls without a pause, until somebody has asked for a token and has got it.

    Attributes:
        outcomes: what came of each call.
    """

    def __init__(self, server: MediaHoundServer, scale: Scale) -> None:
        self.outcomes: list[str] = []
        self._server = server
        self._patience = scale.load
        # Who renews early does so at least a tenth of the life before the expiry.
        self._hold = scale.life / 40
        self._ended: list[float] = []
        self._held = (0.0, 0.0)
        self._over = threading.Event()

    def slowed(self) -> Value:
        """How many calls ended in the time before, for each that ended during the hold."""
        begin, end = self._held
        if not end:
            return None
        before = sum(2 * begin - end <= moment < begin for moment in self._ended)
        meanwhile = sum(begin <= moment < end for moment in self._ended)
        return before / meanwhile if meanwhile else "no call"

    def run(self, session: Any, runner: asyncio.Runner | None) -> None:
        """Call with `session`, whose event loop is that of `runner` if it has one."""
        url = api(self._server)
        watching = threading.Thread(target=self._watch)
        watching.start()
        if runner:
            runner.run(self._tasks(session, url))
        else:
            threads = [
                threading.Thread(target=self._worker, args=(session, url)) for _ in range(WORKERS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        watching.join()

    def _watch(self) -> None:
        with suppress(TimeoutError), self._server.hold_token_requests() as hold:
            hold.wait_for(1, self._patience)
            begin = perf_counter()
            time.sleep(self._hold)
            self._held = (begin, perf_counter())
        time.sleep(self._hold)  # the first calls with the new token are of interest too
        self._over.set()

    def _worker(self, session: Any, url: str) -> None:
        while not self._over.is_set():
            try:
                self._add(str(session.get(url).status_code))
            except Exception as error:
                self._add(raised(error))
                return

    async def _tasks(self, client: Any, url: str) -> None:
        async def worker() -> None:
            while not self._over.is_set():
                try:
                    self._add(str((await client.get(url)).status_code))
                except Exception as error:
                    self._add(raised(error))
                    return

        await asyncio.gather(*(worker() for _ in range(WORKERS)))

    def _add(self, outcome: str) -> None:
        self.outcomes.append(outcome)
        self._ended.append(perf_counter())
