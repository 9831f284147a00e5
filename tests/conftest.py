from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from mediahound_auth.testing import MediaHoundServer


@pytest.fixture
def client_id() -> str:
    """A client nobody has used: what the process remembers of others must not touch a test."""
    return f"client-{uuid.uuid4()}"


@pytest.fixture
def server(client_id: str) -> Iterator[MediaHoundServer]:
    with MediaHoundServer(client_id=client_id) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL"):
        monkeypatch.delenv(f"MEDIAHOUND_{name}", raising=False)
