"""What all tests have: a server and a client that nobody has used, and no environment."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

# What the first grant of a process imports: here, so that it eats into no test's time budget.
import oauthlib.oauth2  # noqa: F401
import pytest

from mediahound_auth.testing import MediaHoundServer

if TYPE_CHECKING:
    from redis_server import RedisServer


# What a shell starts in the background ignores Ctrl-C, and so would all programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def client_id() -> str:
    """A client nobody has used: what the process remembers of others must not touch a test."""
    return f"client-{uuid.uuid4()}"


@pytest.fixture
def server(client_id: str) -> Iterator[MediaHoundServer]:
    with MediaHoundServer(client_id=client_id) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis that all tests share; whoever stops or freezes one starts one of their own."""
    from redis_server import RedisServer  # here: few tests need it, and importing redis takes time

    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_threads_of_others() -> Iterator[None]:
    """Renewals that a test leaves behind end before the next one, whose log they would speak in."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("mediahound-auth "):
            thread.join(10)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither credentials nor proxies nor CA bundles of the machine that tests run on."""
    for name in ("CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL"):
        monkeypatch.delenv(f"MEDIAHOUND_{name}", raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
