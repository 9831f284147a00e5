"""`client_secret=` as a callable: a keyring, a mounted file, .env."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import pytest
from dotenv import load_dotenv
from libraries import search

from mediahound_auth import InvalidClientError
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer


class InMemory(keyring.backend.KeyringBackend):
    """A keyring for tests: what real ones keep, they keep encrypted."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def _keyring() -> Iterator[None]:
    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("_keyring")
def test_the_secret_may_be_in_a_keyring(server: MediaHoundServer) -> None:
    keyring.set_password("mediahound", server.client_id, server.client_secret)

    def secret() -> str:
        return keyring.get_password("mediahound", server.client_id) or ""

    auth = MediaHoundAuth(server.client_id, secret, token_url=server.token_url)
    assert search(server, auth) == 200


def test_a_file_that_is_rotated_is_read_at_each_token_request(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    mounted = tmp_path / "client-secret"
    mounted.write_text("MyClientSecret\n")

    def secret() -> str:
        return mounted.read_text(encoding="utf-8").strip()

    auth = MediaHoundAuth(server.client_id, secret, token_url=server.token_url)
    assert search(server, auth) == 200
    mounted.write_text("another\n")
    server.revoke_tokens()
    assert search(server, auth) == 401  # the new secret is not valid yet
    with pytest.raises(InvalidClientError):
        auth.renew()
    mounted.write_text("MyClientSecret\n")
    assert auth.renew().access_token
    assert search(server, auth) == 200


def test_the_secret_may_be_in_a_dot_env_file(
    server: MediaHoundServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in server.environment:
        monkeypatch.setenv(name, "")  # so that it is put back
        del os.environ[name]
    lines = [f"{name}={value}" for name, value in server.environment.items()]
    (tmp_path / ".env").write_text("\n".join(lines))
    load_dotenv(tmp_path / ".env")
    assert search(server, MediaHoundAuth()) == 200
