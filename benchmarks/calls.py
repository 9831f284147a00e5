"""The cost of a call with a valid token: the header alone, and calls over a real connection."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from time import perf_counter
from typing import Any

import httpx
import requests
from requests.hooks import default_hooks, dispatch_hook

from benchmarks.contenders import STATIC, Contender, beside_static
from benchmarks.scale import Scale
from benchmarks.sessions import api, opened, serving, serving_elsewhere
from benchmarks.table import Column, Row, Table

# A batch is short enough to fit between two interruptions, and long beside the clock's own step.
BATCH = 100

LIMITS = {"requests": 1.8, "httpx": 1.1, "httpx async": 1.1}

Measure = Callable[[Any], float]


def attaching(contenders: Iterable[Contender], scale: Scale) -> Table:
    """What attaching a valid token costs, beside attaching a header that never changes."""
    order, arms = beside_static(contenders), []
    with serving() as server, asyncio.Runner() as runner:
        url = api(server)
        for arm in order:
            with opened(arm, server.credentials, runner) as opening:
                opening.get(url).raise_for_status()
                arms.append((arm, arm.auth(opening.session)))
        measures = {
            "requests": _requests_measures(url),
            "httpx": _httpx_measures(url),
            "httpx async": _httpx_async_measures(url),
        }
        costs: dict[tuple[Contender, int], list[float]] = {}
        for _ in range(scale.batches):
            random.shuffle(arms)
            for arm, auth in arms:
                for number, measure in enumerate(measures[arm.kind]):
                    costs.setdefault((arm, number), []).append(measure(auth))
    least = {key: min(times) for key, times in costs.items()}
    base = {(arm.kind, n): cost for (arm, n), cost in least.items() if arm.name == STATIC}
    rows = [
        Row(
            arm.name,
            arm.kind,
            tuple(least[arm, n] / base[arm.kind, n] if (arm, n) in least else None for n in (0, 1)),
        )
        for arm in order
    ]
    columns = (
        Column("per request", "{:.2f} ×", "requests 1.8 ×, httpx 1.1 ×", LIMITS),
        Column("with its response hook", "{:.2f} ×"),
    )
    note = (
        "The time that the auth object takes to sign a request; no request is sent. The best"
        f" of {scale.batches} batches of {BATCH}, divided by the best batch with a static"
        " header. Authlib's httpx clients check the expiry elsewhere, which is not measured"
        " here."
    )
    return Table("Cost of a valid token", note, columns, rows)


def throughput(contenders: Iterable[Contender], scale: Scale) -> Table:
    """What whole calls with a valid token cost, beside calls with a static header."""
    arms = beside_static(contenders)
    times: dict[Contender, list[float]] = {arm: [] for arm in arms}
    with ExitStack() as stack:
        credentials, url = stack.enter_context(serving_elsewhere())
        runner = stack.enter_context(asyncio.Runner())
        sessions = [(arm, stack.enter_context(opened(arm, credentials, runner))) for arm in arms]
        for number in range(scale.calls * scale.rounds + 1):
            random.shuffle(sessions)  # nobody always comes after the same one
            for arm, opening in sessions:
                started = perf_counter()
                opening.get(url).raise_for_status()
                if number:  # the first one connects
                    times[arm].append(perf_counter() - started)
    typical = {arm: statistics.median(times[arm]) for arm in arms}
    base = {arm.kind: typical[arm] for arm in arms if arm.name == STATIC}
    rows = [Row(arm.name, arm.kind, (typical[arm] / base[arm.kind],)) for arm in arms]
    note = (
        "Calls over a connection that stays open, to a server in another process of this"
        " machine. The contenders take turns in random order. The median of"
        f" {scale.calls * scale.rounds} calls, divided by the median with a static header."
    )
    return Table("Whole calls", note, (Column("time of a call", "{:.2f} ×"),), rows)


def attaching_measures(kind: str, url: str) -> Measure:
    """What tells the time that a batch of auth objects' calls takes, without any call made."""
    return (_requests_measures if kind == "requests" else _httpx_measures)(url)[0]


def _requests_measures(url: str) -> list[Measure]:
    with requests.Session() as session:
        prepared = session.prepare_request(requests.Request("GET", url))
    response = requests.Response()
    response.status_code = 200

    def fresh() -> list[requests.PreparedRequest]:
        # Copies, and not one request used again: a dict that keys have been deleted from takes a
        # new one more slowly, and now and then a lot more.
        batch = [prepared.copy() for _ in range(BATCH)]
        for request in batch:
            request.hooks = default_hooks()
        return batch

    def attach(auth: Any) -> float:
        batch = fresh()
        started = perf_counter()
        for request in batch:
            auth(request)
        return perf_counter() - started

    def attach_and_hook(auth: Any) -> float:
        batch = fresh()
        started = perf_counter()
        for request in batch:
            auth(request)
            dispatch_hook("response", request.hooks, response)
        return perf_counter() - started

    return [attach, attach_and_hook]


def _httpx_measures(url: str) -> list[Measure]:
    built, response = _built(url), httpx.Response(200)

    def attach(auth: Any) -> float:
        _as_new(built)
        started = perf_counter()
        for request in built:
            flow = auth.sync_auth_flow(request)
            try:
                next(flow)
                with suppress(StopIteration):
                    flow.send(response)
            finally:
                flow.close()
        return perf_counter() - started

    return [attach]


def _httpx_async_measures(url: str) -> list[Measure]:
    built, response = _built(url), httpx.Response(200)

    async def attach(auth: Any) -> float:
        _as_new(built)
        started = perf_counter()
        for request in built:
            flow = auth.async_auth_flow(request)
            try:
                await flow.__anext__()
                with suppress(StopAsyncIteration):
                    await flow.asend(response)
            finally:
                await flow.aclose()
        return perf_counter() - started

    return [lambda auth: asyncio.run(attach(auth))]


def _built(url: str) -> list[httpx.Request]:
    with httpx.Client() as client:
        return [client.build_request("GET", url) for _ in range(BATCH)]


def _as_new(built: list[httpx.Request]) -> None:
    for request in built:
        request.headers.pop("Authorization", None)
