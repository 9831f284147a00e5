"""MediaHoundServer shows no secret and no token, and serves TLS."""

from __future__ import annotations

import contextlib
import logging
import ssl
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import trustme
from raw_http import (
    DOCUMENTED_REQUEST,
    ask,
    call,
    connect_socket,
    get_token,
)

from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.once


class TestDiscretion:
    def test_no_repr_shows_a_secret(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        call(server, f"/echo?access_token={token}", token=token)
        shown = repr([server, server.token_requests, server.api_requests])
        assert "MyClientSecret" not in shown
        assert token not in shown
        assert repr(server.api_requests) == (
            "[ReceivedRequest(method='GET', path='/echo', status=200)]"
        )

    def test_nothing_is_logged_or_printed(
        self,
        server: MediaHoundServer,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        caplog.set_level(logging.DEBUG)
        token = get_token(server)
        ask(server, client_secret="wrong")
        call(server, "/", token=token)
        server.drop_api_requests(1)
        with pytest.raises(ConnectionResetError):
            call(server, "/", token=token)
        server.stop()
        assert token not in caplog.text
        assert "MyClientSecret" not in caplog.text
        assert capfd.readouterr() == ("", "")

    def test_imports_no_http_library(self) -> None:
        script = (
            "import sys, mediahound_auth.testing;"
            "print({'requests', 'httpx', 'urllib3', 'httpcore'} & set(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        assert done.stdout.decode().strip() == "set()"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestTls:
    @pytest.fixture
    def server(self, authority: trustme.CA) -> Iterator[MediaHoundServer]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        with MediaHoundServer(ssl_context=context) as server:
            yield server

    @pytest.fixture
    def session(self, authority: trustme.CA, tmp_path: Any) -> Iterator[requests.Session]:
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        with requests.Session() as session:
            session.trust_env = False
            session.verify = str(tmp_path / "ca.pem")
            yield session

    def test_serves_over_tls(self, server: MediaHoundServer, session: requests.Session) -> None:
        assert server.url.startswith("https://localhost:")
        form = {
            "grant_type": "client_credentials",
            "client_id": server.client_id,
            "client_secret": server.client_secret,
        }
        credentials = (server.client_id, server.client_secret)
        answer = session.post(server.token_url, form, auth=credentials, timeout=10).json()
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        assert session.get(server.url + "/echo", headers=headers, timeout=10).status_code == 200
        server.drop_api_requests(1)
        with pytest.raises(requests.ConnectionError):
            session.get(server.url + "/echo", headers=headers, timeout=10)

    def test_a_client_without_a_handshake_blocks_no_other_client(
        self, server: MediaHoundServer, session: requests.Session
    ) -> None:
        with connect_socket(server) as silent:
            assert session.get(server.url, timeout=10).status_code == 401
            server.stop()
            assert silent.recv(4096) == b""

    def test_a_client_without_tls_is_disconnected(
        self, server: MediaHoundServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with connect_socket(server) as plain, contextlib.suppress(ConnectionResetError):
            plain.sendall(DOCUMENTED_REQUEST)
            while plain.recv(4096):
                pass
        server.stop()
        assert server.token_requests == []
        assert capfd.readouterr() == ("", "")

    def test_stop_closes_open_connections(
        self, server: MediaHoundServer, authority: trustme.CA
    ) -> None:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        with context.wrap_socket(connect_socket(server), server_hostname="localhost") as connection:
            connection.sendall(DOCUMENTED_REQUEST)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            server.stop()
            with contextlib.suppress(ssl.SSLEOFError):
                assert connection.recv(4096) == b""
