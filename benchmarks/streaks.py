"""Calls one after another where something is wrong: how many token requests do they cost?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.contenders import Contender
from benchmarks.scale import Scale
from benchmarks.sessions import (
    CALLER_FETCHES,
    age_token,
    api,
    in_words,
    opened,
    serving,
)
from benchmarks.table import Column, Row, Table, at_most
from mediahound_auth.testing import Credentials, MediaHoundServer


def last_seconds(contenders: Iterable[Contender], scale: Scale) -> Table:
    """The endpoint hands out the same token until it has expired, and it is about to."""

    def streak(contender: Contender) -> Row:
        with serving() as server:
            # Seconds are told in whole numbers, rounded down: it ends with half a one that is "0".
            end = age_token(server, scale.last + 0.5)
            pause = (scale.last + 0.3) / scale.calls
            return _streak(contender, server, scale.calls, pause=pause, end=end - 0.1)

    contenders = list(contenders)
    with ThreadPoolExecutor(len(contenders)) as pool:
        rows = list(pool.map(streak, contenders))
    note = (
        f"{scale.calls} calls spread over the last {scale.last:g} s of a token. The endpoint"
        " returns this token until it has expired, with the remaining lifetime in whole seconds."
        " The package has the token when the calls begin."
    )
    return Table(
        "The last seconds of a token that the server returns again", note, _columns("2"), rows
    )


def always_401(contenders: Iterable[Contender], scale: Scale) -> Table:
    """The API rejects every token, fresh ones too."""

    def reject(server: MediaHoundServer) -> None:
        server.reject_api_requests = True

    rows = []
    for contender in contenders:
        with serving(return_same_token=False) as server:
            rows.append(_streak(contender, server, scale.calls, event=reject))
    note = (
        f"{scale.calls} calls to an API that responds with 401 to every token, while the"
        " endpoint issues a new token for each token request."
    )
    return Table("API that rejects every token", note, _columns("4", calls=""), rows)


def wrong_secret(contenders: Iterable[Contender], scale: Scale) -> Table:
    """The token endpoint refuses the client."""
    rows = []
    for contender in contenders:
        if contender.fetch:
            rows.append(Row(contender.name, contender.kind, (CALLER_FETCHES, None)))
            continue
        with serving() as server, asyncio.Runner() as runner:
            wrong: Credentials = {**server.credentials, "client_secret": "wrong"}
            with opened(contender, wrong, runner) as opening:
                outcomes = [opening.call(api(server)) for _ in range(scale.calls)]
            values = (len(server.token_requests), in_words(outcomes))
            rows.append(Row(contender.name, contender.kind, values))
    note = f"{scale.calls} calls with a client secret that the endpoint refuses."
    return Table("Wrong secret", note, _columns("4", calls=""), rows)


def _columns(reach: str, calls: str = "all 200") -> tuple[Column, ...]:
    return (
        Column("token requests", reach=reach, limit=at_most(float(reach))),
        Column("calls", reach=calls),
    )


def _streak(
    contender: Contender,
    server: MediaHoundServer,
    calls: int,
    *,
    event: Callable[[MediaHoundServer], None] | None = None,
    pause: float = 0.0,
    end: float = float("inf"),
) -> Row:
    """What `calls` calls cost after `event`, `pause` seconds from one to the next, up to `end`."""
    with asyncio.Runner() as runner, opened(contender, server.credentials, runner) as opening:
        opening.get(api(server)).raise_for_status()
        if event:
            event(server)
        before, outcomes, started = len(server.token_requests), [], time.monotonic()
        for number in range(calls):
            time.sleep(max(0.0, started + number * pause - time.monotonic()))
            if outcomes and time.monotonic() > end:
                break  # the machine has been busy with something else
            outcomes.append(opening.call(api(server)))
        values = (len(server.token_requests) - before, in_words(outcomes))
    return Row(contender.name, contender.kind, values)
