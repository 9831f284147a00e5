"""What all tests have: a server and a client that nobody has used, and no environment."""

from __future__ import annotations

import gc
import os
import signal
import ssl
import sys
import threading
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# What the first grant of a process imports: here, so that it eats into no test's time limit.
import certifi
import hypothesis
import oauthlib.oauth2  # noqa: F401
import pytest
import trustme

# Before they are imported, so that what they assert shows values, as in tests.
pytest.register_assert_rewrite(
    *{path.stem for path in Path(__file__).with_name("support").iterdir()} - set(sys.modules)
)

from libraries import LIBRARIES, Library  # noqa: E402
from timing import Clock, patch_clock  # noqa: E402

from mediahound_auth._core import grant  # noqa: E402
from mediahound_auth.testing import MediaHoundServer  # noqa: E402

if TYPE_CHECKING:
    from redis_server import RedisServer

pytest_plugins = ["forks"]

hypothesis.settings.register_profile("local", max_examples=25, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=400, deadline=None, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

# What a shell starts in the background ignores Ctrl-C, and so would all programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without the garbage collector, which takes two fifths of the time.

    It would look at a million objects again and again, all of which stay until the end.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start what forks programs before the forks that share it: see tests/support/warm.py."""
    if session.config.option.forks:
        from warm import forker  # here: Windows has not all that it imports

        forker()


@pytest.fixture
def client_id() -> str:
    """A client nobody has used: what the process remembers of others must not touch a test."""
    return f"client-{uuid.uuid4()}"


@pytest.fixture
def server(client_id: str) -> Iterator[MediaHoundServer]:
    with MediaHoundServer(client_id=client_id) as server:
        yield server


@pytest.fixture
def elsewhere() -> Iterator[MediaHoundServer]:
    """Another origin. It answers 401 to requests without a token of its own."""
    with MediaHoundServer(client_id="somebody else") as elsewhere:
        yield elsewhere


@pytest.fixture(params=LIBRARIES, ids=str)
def library(request: pytest.FixtureRequest) -> Library:
    """Each of the HTTP libraries: see tests/support/libraries.py."""
    chosen: Library = request.param
    return chosen


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The package's clock: it stands still until a test advances it."""
    return patch_clock(monkeypatch)


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(ca: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def client_file(ca: trustme.CA, tmp_path: Path) -> str:
    """The certificate of a client, and its key."""
    pem = ca.issue_cert("client@example.org").private_key_and_cert_chain_pem
    pem.write_to_path(str(tmp_path / "client.pem"))
    return str(tmp_path / "client.pem")


@pytest.fixture(scope="session")
def tls_context(ca: trustme.CA) -> Callable[[], ssl.SSLContext]:
    """Makes contexts for servers on localhost."""
    certificate = ca.issue_cert("localhost")

    def make() -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        return context

    return make


@pytest.fixture
def tls_server(
    client_id: str, tls_context: Callable[[], ssl.SSLContext]
) -> Iterator[MediaHoundServer]:
    with MediaHoundServer(client_id=client_id, ssl_context=tls_context()) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis that all tests share; whoever stops or freezes one starts one of their own."""
    from redis_server import RedisServer  # here: few tests need it, and importing redis takes time

    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def _quick_keys() -> Iterator[Callable[..., bytes]]:
    """Keys of stores take one round of PBKDF2, not 20,000.

    Each test has a client of its own, so that the key would be most of what a token request takes.
    """
    real = grant._pbkdf2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grant, "_pbkdf2", lambda secret, salt, _: real(secret, salt, 1))
        yield real


@pytest.fixture
def real_keys(_quick_keys: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keys as they are: for what they are, and for tests that share a store with a program."""
    monkeypatch.setattr(grant, "_pbkdf2", _quick_keys)
    grant._digest.cache_clear()
    yield
    grant._digest.cache_clear()


@pytest.fixture(autouse=True)
def _no_threads_of_others() -> Iterator[None]:
    """Renewals that a test leaves behind end before the next one, whose log they would speak in."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("mediahound-auth "):
            thread.join(10)


@pytest.fixture(scope="session")
def _few_certificates(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with one certificate, of a public CA: not all Pythons have trustme (`.ci/newer`)."""
    path = tmp_path_factory.mktemp("few") / "ca.pem"
    end = "-----END CERTIFICATE-----\n"
    path.write_text(certifi.contents().partition(end)[0] + end)
    return str(path)


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, _few_certificates: str) -> None:
    """Neither credentials nor proxies nor CA bundles of the machine that tests run on."""
    for name in ("CLIENT_ID", "CLIENT_SECRET", "TOKEN_URL"):
        monkeypatch.delenv(f"MEDIAHOUND_{name}", raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    # Each httpx client reads it, and 20 ms for the public CAs would be most of what a test takes.
    monkeypatch.setenv("SSL_CERT_FILE", _few_certificates)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
