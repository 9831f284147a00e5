"""RedisStore with each kind of Redis: cluster, sentinel, TLS, Unix socket."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ports
import pytest
import redis
import redis.sentinel
from redis_server import PATIENCE, RedisServer

from mediahound_auth import Token
from mediahound_auth.stores.redis import RedisStore

KEY = "ab" * 32


def check(url: str | None = None, client: Any = None) -> None:
    """All that a store does, with this URL or client."""
    store, now = RedisStore(url, client=client), time.time()
    with store.lock(KEY, 1):
        assert store.load(KEY) is None
        later = Token("later", expires_at=now + 3600, requested_at=now)
        store.save(KEY, later)
        store.save(KEY, Token("earlier", expires_at=now + 3600, requested_at=now - 1))
        assert store.load(KEY) == later
        with pytest.raises(TimeoutError), store.lock(KEY, 0):
            pass
    with store.lock(KEY, 0):
        store.discard(KEY)
    assert store.load(KEY) is None


def test_it_works_with_a_cluster() -> None:
    with (
        ports.held() as bus,
        RedisServer(
            "--cluster-enabled", "yes", "--cluster-port", str(bus.getsockname()[1])
        ) as server,
    ):
        with server.client() as node:
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
            server.wait_until(lambda: takes_writes(node))
        url = f"redis://127.0.0.1:{server.port}"
        for decode_responses in (False, True):
            with redis.RedisCluster.from_url(url, decode_responses=decode_responses) as client:
                check(client=client)


def takes_writes(node: redis.Redis) -> bool:
    """Whether the node knows by now that the cluster is complete."""
    try:
        return bool(node.set("ready", "yes"))
    except redis.ResponseError:
        return False


@pytest.mark.parametrize("decode_responses", [False, True], ids=["bytes", "decoded"])
def test_it_works_with_a_master_that_a_sentinel_knows(
    tmp_path: Path, decode_responses: bool
) -> None:
    with RedisServer() as master:
        config = tmp_path / "sentinel.conf"
        config.write_text(f"sentinel monitor mymaster 127.0.0.1 {master.port} 1\n")
        with RedisServer(str(config), "--sentinel") as watcher:
            options = {"socket_timeout": 5, "decode_responses": decode_responses}
            kind: Any = redis.sentinel.Sentinel  # without types
            sentinel = kind([("127.0.0.1", watcher.port)], **options)
            with sentinel.master_for("mymaster") as client:
                check(client=client)
            for node in sentinel.sentinels:
                node.close()


@contextmanager
def tls_in_front_of(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A port on which clients speak TLS with the server at `port`, which knows none itself."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as near,
                socket.create_connection(("127.0.0.1", port)) as far,
            ):
                back = threading.Thread(target=carry, args=(far, near))
                back.start()
                carry(near, far)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as front:
        front.daemon_threads = True
        serving = threading.Thread(target=front.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield front.server_address[1]
        finally:
            front.shutdown()
            serving.join()


def carry(source: socket.socket, sink: socket.socket) -> None:
    """Send on what comes, to the end."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


def test_it_works_over_tls(
    redis_server: RedisServer, tls_context: Callable[[], ssl.SSLContext], ca_file: str
) -> None:
    with tls_in_front_of(redis_server.port, tls_context()) as port:
        check(f"rediss://localhost:{port}?ssl_ca_certs={ca_file}&{PATIENCE}")
        with pytest.raises(redis.ConnectionError, match="certificate"):
            RedisStore(f"rediss://localhost:{port}?{PATIENCE}").load(KEY)


def test_it_works_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer("--unixsocket", str(path)):
        check(f"unix://{path}?socket_timeout=20")
