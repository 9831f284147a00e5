"""`mediahound-auth token` if the stored token expires soon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Shell

from mediahound_auth import Token
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import FileStore
from mediahound_auth.testing import MediaHoundServer

LIFE = 10_000.0


@pytest.fixture(params=[True, False], ids=["reissues", "issues"])
def endpoint(client_id: str, request: pytest.FixtureRequest) -> Iterator[MediaHoundServer]:
    with MediaHoundServer(
        client_id=client_id, lifetime=LIFE, return_same_token=request.param
    ) as server:
        yield server


@pytest.fixture
def shell(endpoint: MediaHoundServer, tmp_path: Path) -> Shell:
    return Shell(tmp_path, endpoint.environment)


@pytest.fixture
def kept(shell: Shell, endpoint: MediaHoundServer, tmp_path: Path) -> str:
    """A token that is kept, and has a hundred seconds left."""
    printed = shell.run("mediahound-auth", "token").out
    store = FileStore(tmp_path / "mediahound-auth")
    (file,) = store.path.glob("*.json")
    token = store.load(file.stem)
    assert token
    store.discard(file.stem)
    now = time.time()
    store.save(file.stem, token.replace(requested_at=now + 100 - LIFE, expires_at=now + 100))
    endpoint.token_requests.clear()
    return printed


def test_one_command_renews_a_token_that_is_due(
    shell: Shell, endpoint: MediaHoundServer, kept: str, request: pytest.FixtureRequest
) -> None:
    first, second = (shell.run("mediahound-auth", "token") for _ in range(2))
    assert first == second
    assert (first.code, first.err) == (0, "")
    assert (first.out == kept) is ("reissues" in request.node.name)
    assert len(endpoint.token_requests) == 1


def test_the_stored_token_is_printed_if_its_renewal_fails(
    shell: Shell, endpoint: MediaHoundServer, kept: str
) -> None:
    endpoint.respond_to_token_requests(1, status=400, body={"error": "invalid_scope"})
    assert shell.run("mediahound-auth", "token") == (0, kept, "")
    assert len(endpoint.token_requests) == 1


# The oldest typer, with the newest click.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_better_token_is_printed_if_it_comes_early(
    client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mediahound_auth._cli import app as cli

    with MediaHoundServer(client_id=client_id, lifetime=LIFE, return_same_token=False) as server:
        auth = MediaHoundAuth(**server.credentials)
        kept, token = auth.token(), auth.token

        def landed() -> Token:
            live = token()
            flight = source_of(auth).shared.renewal
            if flight:
                flight.wait(20)
            if live == kept:  # and now it has begun to age
                source_of(auth).shared.state = source_of(auth).shared.state._replace(renew_at=0.0)
            return live

        monkeypatch.setattr(auth, "token", landed)
        assert cli._valid(auth, 20) != kept
