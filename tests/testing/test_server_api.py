"""MediaHoundServer as an API."""

from __future__ import annotations

import contextlib
import hashlib
import socket

import pytest
from raw_http import (
    DOCUMENTED_REQUEST,
    basic,
    call,
    connect,
    connect_socket,
    get_token,
    read_reply,
)

from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.once


class TestApi:
    def test_a_call_without_a_bearer_token_is_unauthorized(self, server: MediaHoundServer) -> None:
        for headers in ({}, {"Authorization": basic("MyClientId:MyClientSecret")}):
            reply = call(server, "/1.3/search/all/Gladiator", headers=headers)
            assert reply.status == 401
            assert reply.json["error"] == "unauthorized"
            assert reply.headers["WWW-Authenticate"] == 'Bearer realm="mediahound"'

    def test_an_unknown_token_is_rejected_and_not_quoted(self, server: MediaHoundServer) -> None:
        reply = call(server, "/1.3/search/all/Gladiator", token="who-knows")
        assert reply.json == {
            "error": "invalid_token",
            "error_description": "Invalid access token",
        }
        assert "who-knows" not in f"{reply.headers}"

    def test_a_valid_token_gets_search_results(self, server: MediaHoundServer) -> None:
        reply = call(server, "/1.3/search/all/The%20Matrix?pageSize=1", token=get_token(server))
        assert reply.status == 200
        assert reply.json["path"] == "/1.3/search/all/The%20Matrix?pageSize=1"
        assert reply.json["method"] == "GET"
        assert reply.json["results"][0]["name"] == "The Matrix"
        assert [request.status for request in server.api_requests] == [200]

    def test_reject_api_requests_rejects_valid_tokens(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        server.reject_api_requests = True
        assert call(server, "/", token=token).json["error"] == "invalid_token"
        server.reject_api_requests = False
        assert call(server, "/", token=token).status == 200

    def test_echo_tells_what_was_sent_but_not_the_token(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        body = "Gladiätor".encode()
        reply = call(
            server, "/echo?a=1", method="PUT", token=token, body=body, headers={"X-Hound": "Rex"}
        )
        assert token not in reply.body.decode()
        assert reply.json["headers"]["X-Hound"] == "Rex"
        assert reply.json["headers"]["Authorization"] == "Bearer (hidden)"
        assert reply.json | {"headers": None} == {
            "method": "PUT",
            "path": "/echo?a=1",
            "headers": None,
            "body": "Gladiätor",
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }

    def test_redirects(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        reply = call(server, "/redirect?to=https://example.com/a%3Fb%3D%250Ac", token=token)
        assert reply.status == 302
        assert reply.headers["Location"] == "https://example.com/a?b=%0Ac"
        reply = call(server, "/redirect?to=/a%0D%0AX:%20b&status=307", token=token)
        assert (reply.status, reply.headers["Location"]) == (307, "/a%0D%0AX:%20b")

    def test_streams_in_chunks(self, server: MediaHoundServer) -> None:
        reply = call(server, "/stream?chunks=3", token=get_token(server))
        assert reply.headers["Transfer-Encoding"] == "chunked"
        assert reply.body == b"chunk 0\nchunk 1\nchunk 2\n"

    @pytest.mark.parametrize("status", [200, 204, 304, 401, 404, 500, 599])
    def test_responds_with_the_requested_status(
        self, server: MediaHoundServer, status: int
    ) -> None:
        token = get_token(server)
        with contextlib.closing(connect(server)) as connection:
            for _ in range(2):
                connection.request(
                    "GET", f"/status/{status}", headers={"Authorization": f"Bearer {token}"}
                )
                assert read_reply(connection).status == status

    @pytest.mark.parametrize(
        "path", ["/status/100", "/status/abc", "/redirect", "/stream?chunks=x"]
    )
    def test_nonsense_is_a_bad_request(self, server: MediaHoundServer, path: str) -> None:
        assert call(server, path, token=get_token(server)).status == 400

    def test_sets_a_cookie(self, server: MediaHoundServer) -> None:
        reply = call(server, "/cookie", token=get_token(server))
        assert reply.headers["Set-Cookie"].startswith("mediahound=")

    @pytest.mark.parametrize("path", ["/echo", "/status/200", "/stream?chunks=3", "/status/401"])
    @pytest.mark.parametrize("live", [True, False])
    def test_head_has_no_body(self, server: MediaHoundServer, path: str, live: bool) -> None:
        headers = {"Authorization": f"Bearer {get_token(server) if live else 'none'}"}
        with contextlib.closing(connect(server)) as connection:
            connection.request("HEAD", path, headers=headers)
            assert read_reply(connection).body == b""
            # A body would now be taken for the beginning of this answer.
            connection.request("GET", "/echo", headers=headers)
            assert read_reply(connection).status == (200 if live else 401)


class TestConnections:
    def test_a_connection_stays_usable_after_a_401_to_a_chunked_post(
        self, server: MediaHoundServer
    ) -> None:
        token = get_token(server)
        with contextlib.closing(connect(server)) as connection:
            connection.request(
                "POST", "/echo", iter([b"GET /", b"x" * 70_000]), encode_chunked=True
            )
            used = connection.sock
            assert read_reply(connection).status == 401
            headers = {"Authorization": f"Bearer {token}"}
            connection.request("POST", "/echo", iter([b"a", b"bc"]), headers, encode_chunked=True)
            reply = read_reply(connection)
            assert reply.json["body"] == "abc"
            assert connection.sock is used
        assert server.api_requests[0].body == b"GET /" + b"x" * 70_000
        assert server.api_requests[1].raw.endswith(b"\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")

    def test_pipelined_requests_are_separated(self, server: MediaHoundServer) -> None:
        first = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        chunked = (
            b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;name=value\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
        )
        last = b"GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        with connect_socket(server) as connection:
            connection.sendall(first + chunked + last)
            while connection.recv(4096):
                pass
        assert [request.raw for request in server.api_requests] == [first, chunked, last]
        assert [request.body for request in server.api_requests] == [b"abc", b"abc", b""]

    def test_a_client_that_expects_100_continue_gets_it(self, server: MediaHoundServer) -> None:
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        with connect_socket(server) as connection:
            connection.sendall(head)
            assert connection.recv(4096).startswith(b"HTTP/1.1 100")
            connection.sendall(b"abc")
            assert connection.recv(4096).startswith(b"HTTP/1.1 401")
        assert server.api_requests[0].raw == head + b"abc"

    def test_a_malformed_body_is_a_bad_request(self, server: MediaHoundServer) -> None:
        with connect_socket(server) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 400")
        assert server.api_requests == []

    def test_a_request_that_breaks_off_is_not_recorded(
        self, server: MediaHoundServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with connect_socket(server) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(4096) == b""
        server.stop()
        assert server.api_requests == []
        assert capfd.readouterr() == ("", "")

    def test_hundreds_are_served_at_once(self, server: MediaHoundServer) -> None:
        with contextlib.ExitStack() as stack:
            with server.hold_token_requests() as hold:
                connections = [stack.enter_context(connect_socket(server)) for _ in range(200)]
                for connection in connections:
                    connection.sendall(DOCUMENTED_REQUEST)
                hold.wait_for(200)
            answers = {connection.recv(4096).partition(b"{")[2] for connection in connections}
        assert len(server.token_requests) == 200
        assert len({answer.partition(b",")[0] for answer in answers}) == 1

    def test_a_response_is_sent_in_one_piece(self, server: MediaHoundServer) -> None:
        body = b"x" * 9_000
        server.respond_to_api_requests(1, status=200, body=body)
        with connect_socket(server) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(100_000).endswith(b"\r\n\r\n" + body)
