"""Two "hosts" of several threads each that share one token through Redis (or Valkey).

Set REDIS_URL to use yours; otherwise redis-server is started for the time being.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests

from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import RedisStore


def host(name: str, api: str, redis_url: str) -> None:
    auth = MediaHoundAuth(store=RedisStore(redis_url))

    def call(_: int) -> int:
        url = f"{api}/1.3/search/all/Gladiator"
        return requests.get(url, auth=auth, timeout=10).status_code

    with ThreadPoolExecutor(4) as threads:
        print(name, list(threads.map(call, range(8))), flush=True)


@contextmanager
def redis() -> Iterator[str]:
    if url := os.environ.get("REDIS_URL"):
        yield url
        return
    program = shutil.which("redis-server") or sys.exit("install redis-server, or set REDIS_URL")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    try:
        while server.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")
    with redis() as redis_url:
        processes = multiprocessing.get_context("spawn")
        hosts = [processes.Process(target=host, args=(f"host {n}", api, redis_url)) for n in (1, 2)]
        for process in hosts:
            process.start()
        for process in hosts:
            process.join()
