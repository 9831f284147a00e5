"""What a store costs: nothing while a token is live; a renewal pays for it."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from benchmarks.calls import attaching_measures
from benchmarks.contenders import OURS, Contender
from benchmarks.scale import Scale
from benchmarks.sessions import api, serving
from benchmarks.table import Column, Row, Table
from mediahound_auth import MemoryStore, Store
from mediahound_auth import httpx as ours_httpx
from mediahound_auth import requests as ours_requests
from mediahound_auth.stores import FileStore, RedisStore

MEMORY = "memory"


def by_store(_: Iterable[Contender], scale: Scale) -> Table:
    """What attaching a valid token and a renewal cost with each store, beside a store in memory."""
    with ExitStack() as stack:
        stores: dict[str, Store] = {MEMORY: MemoryStore()}
        stores["file"] = FileStore(stack.enter_context(tempfile.TemporaryDirectory()))
        if url := stack.enter_context(redis()):
            stores["Redis"] = RedisStore(url)
        server = stack.enter_context(serving())
        options: dict[str, Any] = {**server.credentials, "client_auth": "client_secret_basic"}
        arms: dict[tuple[str, str], Any] = {}
        for name, store in stores.items():
            arms[name, "requests"] = ours_requests.MediaHoundAuth(**options, store=store)
            arms[name, "httpx"] = ours_httpx.MediaHoundAuth(**options, store=store)
        calls: dict[tuple[str, str], list[float]] = {arm: [] for arm in arms}
        renewals: dict[tuple[str, str], list[float]] = {arm: [] for arm in arms}
        measures = {kind: attaching_measures(kind, api(server)) for kind in ("requests", "httpx")}
        for auth in arms.values():
            auth.token()
        for number in range(scale.batches):
            order = list(arms)
            random.shuffle(order)
            for arm in order:
                calls[arm].append(measures[arm[1]](arms[arm]))
                if number < scale.calls // 3:
                    started = time.perf_counter()
                    arms[arm].renew()
                    renewals[arm].append(time.perf_counter() - started)
    rows = [
        Row(
            f"{OURS}, {name}", kind, tuple(_ratio(times, name, kind) for times in (calls, renewals))
        )
        for name, kind in arms
    ]
    note = (
        "The cost of a call with a valid token, and of one renewal against a server on this"
        " machine. Each store is divided by the store in memory. Redis is measured only if"
        " redis-server is installed."
    )
    columns = (
        Column("valid token", "{:.2f} ×", "1.0 ×"),
        Column("renewal", "{:.2f} ×"),
    )
    return Table("Stores", note, columns, rows)


def _ratio(times: dict[tuple[str, str], list[float]], name: str, kind: str) -> float:
    return min(times[name, kind]) / min(times[MEMORY, kind])


@contextmanager
def redis() -> Iterator[str | None]:
    """The URL of a Redis of our own; None where redis-server is not installed."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        while server.poll() is None:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()
