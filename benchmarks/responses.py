"""What responses cost: of the token endpoint, many of them, and a 401 without end."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import socket
import threading
import time
import tracemalloc
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, count
from typing import Any

import httpx
import requests
from requests.adapters import BaseAdapter

from benchmarks.contenders import OURS, Contender
from benchmarks.scale import Scale
from benchmarks.sessions import opened, serving
from benchmarks.table import Column, Row, Table, at_most
from mediahound_auth import MemoryStore
from mediahound_auth import httpx as ours_httpx
from mediahound_auth import requests as ours_requests
from mediahound_auth._core.endpoint import request_token
from mediahound_auth._core.grant import Grant, TokenRequest, TokenResponse

MIB = 1 << 20
CREDENTIALS = {"client_id": "MyClientId", "client_secret": "MyClientSecret"}
SIZES = {"UUID": 36, "2,000-character JWT": 2000, "1 MB": 1_000_000}
REJECTED = b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n"
ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


def token_response(size: int) -> bytes:
    """A response with an access token of so many characters, another one each time."""
    access_token = str(uuid.uuid4()).ljust(size, "x")
    return json.dumps(
        {"access_token": access_token, "token_type": "bearer", "expires_in": 3600}
    ).encode()


def processing(contenders: Iterable[Contender], scale: Scale) -> Table:
    """The CPU that a token response costs, apart from the HTTP exchange."""
    grant = Grant("MyClientId", "MyClientSecret", "https://api.mediahound.com/token").resolved()

    def milliseconds(size: int) -> float:
        responses = [TokenResponse(200, {}, token_response(size)) for _ in range(scale.batches)]
        times = []
        for response in responses:

            def send(_: TokenRequest, __: float, response: TokenResponse = response) -> Any:
                return response

            started = time.thread_time()
            request_token(grant, send, 30.0, [])
            times.append(time.thread_time() - started)
        return sorted(times)[len(times) // 2] * 1000

    values = tuple(milliseconds(size) for size in SIZES.values())
    rows = [Row(one.name, one.kind, values) for one in contenders if one.name == OURS]
    columns = [
        Column(title, "{:.2f} ms", f"{most} ms", at_most(most))
        for title, most in zip(SIZES, (2, 2, 50), strict=True)
    ]
    note = (
        "The CPU time of writing a token request and reading its response, by the size of the"
        f" access token; the median of {scale.batches}. The same for all HTTP libraries."
    )
    return Table("CPU of a token response", note, tuple(columns), rows)


class Local(BaseAdapter):
    """Responds to token requests without a network."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response.raw = 200, io.BytesIO(token_response(1500))
        response.request = request
        return response

    def close(self) -> None:
        pass


def renewals(contenders: Iterable[Contender], scale: Scale) -> Table:
    """What many renewals leave in memory."""

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=httpx.ByteStream(token_response(1500)))

    rows = []
    with requests.Session() as session, httpx.Client(transport=httpx.MockTransport(answer)) as sync:
        session.mount("https://", Local())
        for contender in contenders:
            if contender.name != OURS:
                continue
            options: dict[str, Any] = {**CREDENTIALS, "store": MemoryStore()}
            auth: Any
            if contender.kind == "requests":
                auth = ours_requests.MediaHoundAuth(**options, session=session)
            else:
                auth = ours_httpx.MediaHoundAuth(**options, client=sync)
            grown = _growth(auth, contender.kind, scale.renewals)
            rows.append(Row(OURS, contender.kind, (grown / MIB,)))
    note = (
        f"How much memory grows between the tenth renewal and renewal {scale.renewals:,}. Each"
        " access token is new and has 1,500 characters."
    )
    column = Column("growth", "{:.2f} MiB", "5 MiB", at_most(5))
    return Table("Memory over renewals", note, (column,), rows)


def _growth(auth: Any, kind: str, number: int) -> int:
    """Bytes."""
    with asyncio.Runner() as runner:

        def renew() -> None:
            if kind == "httpx async":
                runner.run(auth.arenew())
            else:
                auth.renew()

        for _ in range(10):
            renew()
        gc.collect()
        tracemalloc.start()
        for _ in range(number):
            renew()
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return grown


def hostile_401(contenders: Iterable[Contender], _: Scale) -> Table:
    """The body of a 401 does not end."""
    rows = []
    for contender in contenders:
        if contender.name != OURS:
            continue
        with (
            serving(return_same_token=False) as server,
            _endless() as url,
            asyncio.Runner() as runner,
        ):
            allowing = contender._replace(make=_with_origin(contender, url))
            with opened(allowing, server.credentials, runner) as opening:
                gc.collect()
                tracemalloc.start()
                started = time.monotonic()
                outcome = opening.call(url)
                took = time.monotonic() - started
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
        rows.append(Row(contender.name, contender.kind, (took, peak / MIB, outcome)))
    note = (
        "One call whose token is rejected with a 401 that has an endless body, and the most"
        " memory that the call needs. A package that reads the whole body before a retry would"
        " use up all memory."
    )
    columns = (
        Column("time", "{:.2f} s", "3 s", at_most(3)),
        Column("memory", "{:.2f} MiB", "5 MiB", at_most(5)),
        Column("call", reach="200"),
    )
    return Table("401 without end", note, columns, rows)


def _with_origin(contender: Contender, url: str) -> Any:
    auth_type: Any = ours_requests if contender.kind == "requests" else ours_httpx

    def make(credentials: Any, budget: float) -> Any:
        return auth_type.MediaHoundAuth(
            **credentials, client_auth="client_secret_basic", timeout=budget, origins=[url]
        )

    return make


@contextmanager
def _endless() -> Iterator[str]:
    """An API that rejects the first request so, and accepts the others; its URL."""
    numbers = count()

    def serve(client: socket.socket) -> None:
        with client, client.makefile("rb") as reader, suppress(OSError):
            while reader.readline():
                while reader.readline().strip():
                    pass
                first = next(numbers) == 0
                for piece in chain([REJECTED], iter(lambda: CHUNK, b"")) if first else [ACCEPTED]:
                    client.sendall(piece)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # ends accept()
