"""Stores do not show the client, the secret or, if encrypted, the token."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography.fernet import Fernet
from redis_server import RedisServer

from mediahound_auth import Store
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores.file import FileStore
from mediahound_auth.stores.redis import RedisStore
from mediahound_auth.testing import MediaHoundServer


def used(server: MediaHoundServer, store: Store) -> str:
    """The access token that a call has left in `store`."""
    auth = MediaHoundAuth(**server.credentials, store=store)
    requests.get(f"{server.url}/1.3/search/all/Gladiator", auth=auth).raise_for_status()
    return auth.token().access_token


def private(server: MediaHoundServer) -> list[bytes]:
    pair = f"{server.client_id}:{server.client_secret}".encode()
    return [server.client_id.encode(), server.client_secret.encode(), base64.b64encode(pair)]


@pytest.mark.parametrize("key", [None, Fernet.generate_key()], ids=["plain", "encrypted"])
def test_a_folder_tells_neither_client_nor_secret(
    server: MediaHoundServer, tmp_path: Path, key: bytes | None
) -> None:
    folder = tmp_path / "tokens"
    token = used(server, FileStore(folder, encryption_key=key))
    held = b"\n".join(path.name.encode() + path.read_bytes() for path in folder.iterdir())
    assert not any(word in held for word in private(server))
    assert (token.encode() in held) is (key is None)


@pytest.mark.parametrize("key", [None, Fernet.generate_key()], ids=["plain", "encrypted"])
def test_a_redis_tells_neither_client_nor_secret(
    server: MediaHoundServer, key: bytes | None
) -> None:
    with RedisServer() as redis, redis.client() as client:
        token = used(server, RedisStore(redis.patient_url, encryption_key=key))
        values: Any = {name: client.get(name) for name in client.scan_iter()}
    # The lock is there for a moment longer than the renewal takes.
    held = b"\n".join(name + (value or b"") for name, value in values.items())
    assert not any(word in held for word in private(server))
    assert (token.encode() in held) is (key is None)
