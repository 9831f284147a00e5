"""RedisStore with each kind of Redis: cluster, sentinel, TLS, Unix socket."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ports
import pytest
import redis
import redis.sentinel
import trustme
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


def test_it_works_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    held = ports.held()
    port = str(held.getsockname()[1])
    options = ["--tls-port", port, "--tls-auth-clients", "no", "--tls-ca-cert-file"]
    options += [str(tmp_path / "ca.pem"), "--tls-cert-file", str(cert), "--tls-key-file", str(key)]
    with held, RedisServer(*options):
        check(f"rediss://localhost:{port}?ssl_ca_certs={tmp_path / 'ca.pem'}&{PATIENCE}")
        with pytest.raises(redis.ConnectionError, match="certificate"):
            RedisStore(f"rediss://localhost:{port}?{PATIENCE}").load(KEY)


def test_it_works_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    with RedisServer("--unixsocket", str(path)):
        check(f"unix://{path}?socket_timeout=20")
