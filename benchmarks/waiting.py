"""What a token request does to everything else: to the event loop, and to calls under way."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterable
from itertools import pairwise
from time import perf_counter
from typing import Any

from benchmarks.contenders import STATIC, Contender, beside_static
from benchmarks.scale import Scale
from benchmarks.sessions import api, in_words, opened, raised, serving
from benchmarks.table import Column, Row, Table, at_most

WORKERS = 8


def event_loop(contenders: Iterable[Contender], scale: Scale) -> Table:
    """How long the event loop is held while a token is fetched."""
    rows = []
    for arm in beside_static(contenders):
        if arm.kind == "httpx async":
            # What holds the loop by itself does so each time; what else the machine does, does not.
            gap = min(_longest_gap(arm, scale.held) for _ in range(scale.rounds))
            rows.append(Row(arm.name, arm.kind, (gap * 1000,)))
    note = (
        "The longest gap between the ticks of an event loop, due every millisecond, while a token"
        f" request takes {scale.held:g} s; the least of {scale.rounds} times. With a static header"
        " there is a sleep in place of the token request."
    )
    limit = {"httpx async": 20.0}
    columns = (Column("event loop held", "{:.0f} ms", "20 ms", limit),)
    return Table("Event loop", note, columns, rows)


def under_load(contenders: Iterable[Contender], scale: Scale) -> Table:
    """A token runs out while calls follow one another, and the next one differs from it."""
    delay = scale.life / 20  # renewal begins at least a tenth of the life before the expiry
    rows = []
    for contender in contenders:
        # Everybody takes its token for over, or nearly, that long after it was issued.
        lifetime = scale.life + contender.leeway
        with serving(reissue=False, lifetime=lifetime) as server, asyncio.Runner() as runner:
            with opened(contender, server.credentials, runner) as opening:
                opening.get(api(server)).raise_for_status()
                server.token_delay = delay
                if contender.kind == "httpx async":
                    calls = runner.run(_tasks(opening.session, api(server), scale.load))
                else:
                    calls = _threads(opening.session, api(server), scale.load)
            outcomes, times = zip(*calls, strict=True)
            waited = sum(time >= delay for time in times)
            values = (len(server.token_requests) - 1, waited, in_words(outcomes))
            rows.append(Row(contender.name, contender.kind, values))
    note = (
        f"{WORKERS} threads or tasks call without a pause for {scale.load:g} s; after"
        f" {scale.life:g} s, or shortly before, a new token is due, for which a request takes"
        f" {delay:g} s. Calls that took as long as that have waited for it. Whose call raises"
        " makes no more."
    )
    columns = (
        Column("token requests"),
        Column("calls that waited", reach="0", limit=at_most(0)),
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


Call = tuple[str, float]


def _threads(session: Any, url: str, seconds: float) -> list[Call]:
    calls: list[Call] = []
    end = perf_counter() + seconds

    def worker() -> None:
        while (started := perf_counter()) < end:
            try:
                outcome = str(session.get(url).status_code)
            except Exception as error:
                calls.append((raised(error), 0.0))
                return
            calls.append((outcome, perf_counter() - started))

    threads = [threading.Thread(target=worker) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return calls


async def _tasks(client: Any, url: str, seconds: float) -> list[Call]:
    calls: list[Call] = []
    end = perf_counter() + seconds

    async def worker() -> None:
        while (started := perf_counter()) < end:
            try:
                outcome = str((await client.get(url)).status_code)
            except Exception as error:
                calls.append((raised(error), 0.0))
                return
            calls.append((outcome, perf_counter() - started))

    await asyncio.gather(*(worker() for _ in range(WORKERS)))
    return calls
