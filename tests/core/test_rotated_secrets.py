"""A client secret that is rotated while the program runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from timing import Clock

from mediahound_auth import InvalidClientError, TokenEndpointUnavailable
from mediahound_auth._core.lifecycle import State
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer


@pytest.fixture
def rotated(client_id: str, clock: Clock) -> Iterator[MediaHoundServer]:
    """Has the new secret already."""
    with MediaHoundServer(client_id=client_id, client_secret="new", clock=clock) as server:
        yield server


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    file = tmp_path / "client-secret"
    file.write_text("old\n")
    return file


def search(server: MediaHoundServer, auth: MediaHoundAuth) -> int:
    return requests.get(f"{server.url}/1.3/search/all/Alien", auth=auth, timeout=10).status_code


def secrets_sent(server: MediaHoundServer) -> list[bool]:
    """For each token request, whether it carried the new secret."""
    return [b"client_secret=new" in request.body for request in server.token_requests]


@pytest.mark.parametrize("refusals", [1, 4, 8])
def test_a_new_secret_is_used_before_the_old_one_would_be_retried(
    refusals: int, rotated: MediaHoundServer, mounted: Path, clock: Clock
) -> None:
    auth = MediaHoundAuth(
        rotated.client_id, lambda: mounted.read_text().strip(), token_url=rotated.token_url
    )
    for _ in range(refusals):
        with pytest.raises(InvalidClientError):
            search(rotated, auth)
        clock.advance(91)
    with pytest.raises(InvalidClientError):
        search(rotated, auth)
    mounted.write_text("new\n")
    clock.advance(1.6)
    assert search(rotated, auth) == 200
    assert secrets_sent(rotated) == [False] * (refusals + 1) + [True]


def test_a_rejected_secret_is_looked_up_again_and_not_sent(
    rotated: MediaHoundServer, clock: Clock
) -> None:
    asked: list[None] = []

    def secret() -> str:
        asked.append(None)
        return "old"

    auth = MediaHoundAuth(rotated.client_id, secret, token_url=rotated.token_url)
    for _ in range(40):
        for _ in range(2):
            with pytest.raises(InvalidClientError):
                search(rotated, auth)
        clock.advance(1.6)
    # 64 seconds: after 1, 2, 4, 8, 16 and perhaps 32, half as much again at most.
    assert len(rotated.token_requests) <= 7
    assert len(asked) == 40, "not at each call, but before each wait of the old secret is over"


def test_only_a_rejected_client_is_retried_with_another_secret() -> None:
    refused, down = InvalidClientError("no"), TokenEndpointUnavailable("down")
    waits = {}
    for error in (refused, down):
        state = State()
        for _ in range(4):
            key = "the secret's" if isinstance(error, InvalidClientError) else ""
            state = state.on_failure(error, 0.0, jitter=0.0, waited_for=True, rejected_secret=key)
        waits[type(error)] = state.retry_at
    assert waits == {InvalidClientError: 1.0, TokenEndpointUnavailable: 8.0}
