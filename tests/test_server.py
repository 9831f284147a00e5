"""MediaHoundServer keeps its promises, seen from the other end of a socket."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import logging
import math
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode, urlsplit

import pytest
import requests
import trustme

from mediahound_auth.testing import MediaHoundServer

TOKEN_PATH = "/1.3/security/oauth/token"
# The request that MediaHound documents, as curl puts it on the wire.
DOCUMENTED_BODY = b"grant_type=client_credentials&client_id=MyClientId&client_secret=MyClientSecret"
DOCUMENTED_REQUEST = (
    b"POST /1.3/security/oauth/token HTTP/1.1\r\n"
    b"Host: 127.0.0.1\r\n"
    b"Authorization: Basic TXlDbGllbnRJZDpNeUNsaWVudFNlY3JldA==\r\n"
    b"Accept: application/json\r\n"
    b"Content-Length: 79\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
    b"\r\n" + DOCUMENTED_BODY
)


class Reply(NamedTuple):
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def read_reply(connection: http.client.HTTPConnection) -> Reply:
    response = connection.getresponse()
    return Reply(response.status, response.headers, response.read())


def connect(server: MediaHoundServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0, timeout=10)


def connect_socket(server: MediaHoundServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(server.url).port), timeout=10)


def call(
    server: MediaHoundServer,
    path: str,
    *,
    method: str = "GET",
    token: str | None = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    headers = dict(headers or {})
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    with contextlib.closing(connect(server)) as connection:
        connection.request(method, path, body, headers)
        return read_reply(connection)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def post_form(
    server: MediaHoundServer, form: Mapping[str, str], authorization: str | None = None
) -> Reply:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if authorization is not None:
        headers["Authorization"] = authorization
    return call(server, TOKEN_PATH, method="POST", body=urlencode(form).encode(), headers=headers)


def ask(server: MediaHoundServer, **changes: str) -> Reply:
    """Ask for a token as MediaHound documents, apart from `changes` to the form."""
    form = {
        "grant_type": "client_credentials",
        "client_id": server.client_id,
        "client_secret": server.client_secret,
    }
    return post_form(server, form | changes, basic(f"{server.client_id}:{server.client_secret}"))


def get_token(server: MediaHoundServer) -> str:
    token = ask(server).json["access_token"]
    assert isinstance(token, str)
    return token


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.123

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[MediaHoundServer]:
    with MediaHoundServer() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


class TestTokenEndpoint:
    def test_answers_the_documented_request(self, server: MediaHoundServer) -> None:
        with connect_socket(server) as connection:
            connection.sendall(DOCUMENTED_REQUEST)
            response = http.client.HTTPResponse(connection)
            response.begin()
            answer = json.loads(response.read())
            response.close()
        assert response.status == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Pragma"] == "no-cache"
        assert response.headers.get_content_type() == "application/json"
        assert len(answer.pop("access_token")) == 36
        assert answer == {
            "token_type": "bearer",
            "expires_in": 1_209_600,
            "scope": "public_profile",
        }

    def test_records_the_request_byte_for_byte(self, server: MediaHoundServer) -> None:
        with connect_socket(server) as connection:
            connection.sendall(DOCUMENTED_REQUEST)
            connection.recv(4096)
        (request,) = server.token_requests
        assert request.raw == DOCUMENTED_REQUEST
        assert request.body == DOCUMENTED_BODY
        assert (request.method, request.path, request.status) == ("POST", TOKEN_PATH, 200)
        assert request.headers["aCCEPT"] == "application/json"
        assert server.api_calls == []

    @pytest.mark.parametrize(
        ("form", "authorization"),
        [
            ({"client_id": "MyClientId", "client_secret": "MyClientSecret"}, None),
            ({"client_id": "MyClientId", "client_secret": "MyClientSecret"}, basic("MyClientId:")),
            ({"client_id": "MyClientId", "client_secret": "MyClientSecret"}, "Basic %%%"),
            ({"client_id": "MyClientId", "client_secret": "MyClientSecret"}, "Bearer abc"),
            ({}, basic("MyClientId:MyClientSecret")),
            ({"client_id": "MyClientId"}, basic("MyClientId:MyClientSecret")),
            ({"client_secret": "MyClientSecret"}, basic("MyClientId:MyClientSecret")),
            (
                {"client_id": "MyClientId", "client_secret": "wrong"},
                basic("MyClientId:MyClientSecret"),
            ),
            (
                {"client_id": "wrong", "client_secret": "MyClientSecret"},
                basic("MyClientId:MyClientSecret"),
            ),
        ],
    )
    def test_verifies_header_and_form(
        self, server: MediaHoundServer, form: dict[str, str], authorization: str | None
    ) -> None:
        reply = post_form(server, {"grant_type": "client_credentials", **form}, authorization)
        assert reply.status == 401
        assert reply.json == {
            "error": "invalid_client",
            "error_description": "Bad client credentials",
        }
        assert reply.headers["WWW-Authenticate"] == 'Basic realm="mediahound"'

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"grant_type": "password"}, "unsupported_grant_type"),
            ({"grant_type": ""}, "invalid_request"),
            ({"scope": "public_profile private_profile"}, "invalid_scope"),
        ],
    )
    def test_refuses_what_it_does_not_know(
        self, server: MediaHoundServer, changes: dict[str, str], error: str
    ) -> None:
        reply = ask(server, **changes)
        assert (reply.status, reply.json["error"]) == (400, error)

    @pytest.mark.parametrize(
        ("path", "content_type", "body"),
        [
            (TOKEN_PATH, "application/json", b"{}"),
            (TOKEN_PATH, "application/x-www-form-urlencoded", b"\xff\xfe{"),
            (
                TOKEN_PATH,
                "application/x-www-form-urlencoded",
                DOCUMENTED_BODY + b"&scope=a&scope=b",
            ),
            (TOKEN_PATH, "application/x-www-form-urlencoded", DOCUMENTED_BODY + b"&client_id=a"),
            (TOKEN_PATH + "?a=b", "application/x-www-form-urlencoded", DOCUMENTED_BODY),
            (TOKEN_PATH + "?a={}", "application/x-www-form-urlencoded", DOCUMENTED_BODY),
        ],
    )
    def test_refuses_a_malformed_request(
        self, server: MediaHoundServer, path: str, content_type: str, body: bytes
    ) -> None:
        headers = {
            "Authorization": basic("MyClientId:MyClientSecret"),
            "Content-Type": content_type,
        }
        reply = call(server, path, method="POST", body=body, headers=headers)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")
        assert len(server.token_requests) == 1

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_takes_post_only(self, server: MediaHoundServer, method: str) -> None:
        reply = call(server, TOKEN_PATH, method=method)
        assert (reply.status, reply.headers["Allow"]) == (405, "POST")
        assert reply.json["error"] == "method_not_allowed"

    def test_grants_the_scopes_asked_for(self) -> None:
        with MediaHoundServer(scope="public_profile private_profile") as server:
            assert ask(server).json["scope"] == "public_profile private_profile"
            assert ask(server, scope="private_profile").json["scope"] == "private_profile"


class TestForms:
    # Characters that tell the encodings apart.
    CLIENT_ID = "my id+1"
    SECRET = "s:é/%41&="

    def make(self, form: Any) -> MediaHoundServer:
        return MediaHoundServer(client_id=self.CLIENT_ID, client_secret=self.SECRET, form=form)

    def test_mediahound_encodes_nothing_before_base64(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.CLIENT_ID,
            "client_secret": self.SECRET,
        }
        encoded = basic(f"{quote_plus(self.CLIENT_ID)}:{quote_plus(self.SECRET)}")
        with self.make("mediahound") as server:
            assert post_form(server, form, basic(f"{self.CLIENT_ID}:{self.SECRET}")).status == 200
            assert post_form(server, form, encoded).status == 401

    def test_basic_encodes_before_base64(self) -> None:
        form = {"grant_type": "client_credentials"}
        encoded = basic(f"{quote_plus(self.CLIENT_ID)}:{quote_plus(self.SECRET)}")
        with self.make("client_secret_basic") as server:
            assert post_form(server, form, encoded).status == 200
            assert post_form(server, form | {"client_id": self.CLIENT_ID}, encoded).status == 200
            assert post_form(server, form | {"client_id": "other"}, encoded).status == 401
            assert post_form(server, form, basic(f"{self.CLIENT_ID}:{self.SECRET}")).status == 401
            assert post_form(server, form).status == 401
            reply = post_form(server, form | {"client_secret": self.SECRET}, encoded)
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")

    def test_post_takes_the_body_only(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.CLIENT_ID,
            "client_secret": self.SECRET,
        }
        with self.make("client_secret_post") as server:
            assert post_form(server, form).status == 200
            assert post_form(server, form | {"client_secret": "wrong"}).status == 401
            reply = post_form(server, form, basic(f"{self.CLIENT_ID}:{self.SECRET}"))
        assert (reply.status, reply.json["error"]) == (400, "invalid_request")

    def test_an_unknown_form_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="form must be one of"):
            self.make("private_key_jwt")


class TestTokenLife:
    def test_reissues_the_same_token_with_what_is_left(self, clock: Clock) -> None:
        with MediaHoundServer(lifetime=10, clock=clock) as server:
            first = ask(server).json
            assert first["expires_in"] == 10
            for passed, left in [(0.5, 9), (0.5, 9), (8.0, 1), (0.25, 0), (0.5, 0)]:
                clock.now += passed
                assert ask(server).json == first | {"expires_in": left}
            clock.now += 0.25
            second = ask(server).json
        assert second["expires_in"] == 10
        assert second["access_token"] != first["access_token"]

    def test_without_reissue_every_token_is_new_and_keeps_its_own_expiry(
        self, clock: Clock
    ) -> None:
        with MediaHoundServer(lifetime=10, reissue=False, clock=clock) as server:
            first = get_token(server)
            clock.now += 4
            second = get_token(server)
            assert first != second
            clock.now += 5.9
            assert call(server, "/", token=first).status == 200
            clock.now += 0.2
            assert call(server, "/", token=first).status == 401
            assert call(server, "/", token=second).status == 200

    @pytest.mark.parametrize(
        ("end", "description"),
        [
            (MediaHoundServer.expire_tokens, "Access token expired"),
            (MediaHoundServer.revoke_tokens, "Access token revoked"),
        ],
    )
    def test_ended_tokens_are_refused_and_replaced(
        self, server: MediaHoundServer, end: Any, description: str
    ) -> None:
        token = get_token(server)
        end(server)
        reply = call(server, "/", token=token)
        assert reply.status == 401
        assert reply.json == {"error": "invalid_token", "error_description": description}
        assert reply.headers["WWW-Authenticate"] == (
            f'Bearer realm="mediahound", error="invalid_token", error_description="{description}"'
        )
        fresh = get_token(server)
        assert fresh != token
        assert call(server, "/", token=fresh).status == 200

    def test_expire_in_shortens_the_tokens_of_now(self, clock: Clock) -> None:
        with MediaHoundServer(clock=clock) as server:
            token = get_token(server)
            server.expire_in(20)
            clock.now += 5
            assert ask(server).json["expires_in"] == 15
            clock.now += 15
            assert call(server, "/", token=token).status == 401
            assert ask(server).json["expires_in"] == 1_209_600

    def test_the_clock_can_be_replaced(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        server.clock = lambda: time.time() + 1_209_601
        assert call(server, "/", token=token).json["error_description"] == "Access token expired"


class TestApi:
    def test_a_call_without_a_bearer_token_is_unauthorized(self, server: MediaHoundServer) -> None:
        for headers in ({}, {"Authorization": basic("MyClientId:MyClientSecret")}):
            reply = call(server, "/1.3/search/all/Gladiator", headers=headers)
            assert reply.status == 401
            assert reply.json["error"] == "unauthorized"
            assert reply.headers["WWW-Authenticate"] == 'Bearer realm="mediahound"'

    def test_an_unknown_token_is_refused_and_not_repeated(self, server: MediaHoundServer) -> None:
        reply = call(server, "/1.3/search/all/Gladiator", token="who-knows")
        assert reply.json == {
            "error": "invalid_token",
            "error_description": "Invalid access token",
        }
        assert "who-knows" not in f"{reply.headers}"

    def test_a_live_token_finds_something(self, server: MediaHoundServer) -> None:
        reply = call(server, "/1.3/search/all/The%20Matrix?pageSize=1", token=get_token(server))
        assert reply.status == 200
        assert reply.json["path"] == "/1.3/search/all/The%20Matrix?pageSize=1"
        assert reply.json["method"] == "GET"
        assert reply.json["results"][0]["name"] == "The Matrix"
        assert [request.status for request in server.api_calls] == [200]

    def test_reject_api_calls_refuses_live_tokens(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        server.reject_api_calls = True
        assert call(server, "/", token=token).json["error"] == "invalid_token"
        server.reject_api_calls = False
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
    def test_answers_with_the_status_asked_for(self, server: MediaHoundServer, status: int) -> None:
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
    def test_stay_usable_after_a_401_to_a_chunked_post(self, server: MediaHoundServer) -> None:
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
        assert server.api_calls[0].body == b"GET /" + b"x" * 70_000
        assert server.api_calls[1].raw.endswith(b"\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")

    def test_pipelined_requests_are_told_apart(self, server: MediaHoundServer) -> None:
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
        assert [request.raw for request in server.api_calls] == [first, chunked, last]
        assert [request.body for request in server.api_calls] == [b"abc", b"abc", b""]

    def test_a_client_that_expects_100_continue_gets_it(self, server: MediaHoundServer) -> None:
        head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        with connect_socket(server) as connection:
            connection.sendall(head)
            assert connection.recv(4096).startswith(b"HTTP/1.1 100")
            connection.sendall(b"abc")
            assert connection.recv(4096).startswith(b"HTTP/1.1 401")
        assert server.api_calls[0].raw == head + b"abc"

    def test_a_malformed_body_is_a_bad_request(self, server: MediaHoundServer) -> None:
        with connect_socket(server) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 400")
        assert server.api_calls == []

    def test_a_request_that_breaks_off_is_not_recorded(
        self, server: MediaHoundServer, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with connect_socket(server) as connection:
            connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(4096) == b""
        server.stop()
        assert server.api_calls == []
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

    def test_an_answer_leaves_in_one_piece(self, server: MediaHoundServer) -> None:
        body = b"x" * 9_000
        server.answer_api_calls(1, status=200, body=body)
        with connect_socket(server) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(100_000).endswith(b"\r\n\r\n" + body)


class TestPlans:
    def test_a_planned_answer_is_given_as_planned(self, server: MediaHoundServer) -> None:
        server.answer_token_requests(
            2, status=429, body={"error": "slow_down"}, headers={"Retry-After": "7"}
        )
        for _ in range(2):
            reply = ask(server)
            assert (reply.status, reply.json) == (429, {"error": "slow_down"})
            assert reply.headers["Retry-After"] == "7"
            assert reply.headers["Content-Type"] == "application/json;charset=UTF-8"
        assert ask(server).status == 200
        assert [request.status for request in server.token_requests] == [429, 429, 200]

    def test_the_body_may_be_text_or_bytes(self, server: MediaHoundServer) -> None:
        server.answer_token_requests(
            1, status=200, body="<ä>", headers={"content-type": "text/html"}
        )
        server.answer_token_requests(1, status=502, body=b"\xff")
        reply = ask(server)
        assert (reply.body, reply.headers["Content-Type"]) == ("<ä>".encode(), "text/html")
        reply = ask(server)
        assert (reply.body, reply.headers["Content-Type"]) == (b"\xff", None)

    def test_an_answer_may_break_off(self, server: MediaHoundServer) -> None:
        server.answer_api_calls(
            1, status=200, body=b"{", headers={"Content-Length": "9", "Connection": "close"}
        )
        with pytest.raises(http.client.IncompleteRead):
            call(server, "/")

    def test_plans_queue_up(self, server: MediaHoundServer) -> None:
        server.answer_token_requests(1)
        server.drop_token_requests(1)
        server.answer_token_requests(1, status=500)
        assert ask(server).status == 503
        with pytest.raises(ConnectionResetError):
            ask(server)
        assert ask(server).status == 500
        assert ask(server).status == 200

    def test_an_endless_plan_lasts_until_the_next(self, server: MediaHoundServer) -> None:
        server.answer_token_requests(math.inf)
        assert {ask(server).status for _ in range(5)} == {503}
        server.answer_token_requests(1, status=500)
        assert [ask(server).status for _ in range(2)] == [500, 200]

    def test_zero_clears_the_plans(self, server: MediaHoundServer) -> None:
        server.drop_token_requests(1)
        server.answer_token_requests(math.inf)
        server.answer_token_requests(0)
        assert ask(server).status == 200

    @pytest.mark.parametrize("n", [-1, 1.5, math.nan, -math.inf])
    def test_n_is_a_whole_number(self, server: MediaHoundServer, n: float) -> None:
        with pytest.raises(ValueError, match="whole number"):
            server.answer_token_requests(n)

    def test_api_calls_have_plans_of_their_own(self, server: MediaHoundServer) -> None:
        server.answer_api_calls(1, status=418)
        token = get_token(server)
        assert call(server, "/", token=token).status == 418
        server.drop_api_calls(1)
        assert get_token(server) == token
        with pytest.raises(ConnectionResetError):
            call(server, "/", token=token)
        assert call(server, "/", token=token).status == 200
        assert [request.status for request in server.api_calls] == [418, None, 200]

    def test_a_dropped_request_is_recorded(self, server: MediaHoundServer) -> None:
        server.drop_token_requests(1)
        with connect_socket(server) as connection:
            connection.sendall(DOCUMENTED_REQUEST)
            with pytest.raises(ConnectionResetError):
                connection.recv(4096)
        (request,) = server.token_requests
        assert request.raw == DOCUMENTED_REQUEST
        assert request.status is None

    def test_token_delay_delays_the_token_endpoint_only(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        server.token_delay = 0.05
        started = time.monotonic()
        ask(server)
        assert time.monotonic() - started >= 0.05
        server.token_delay = 60
        assert call(server, "/", token=token).status == 200


class TestHold:
    def test_holds_until_the_end_of_the_block(
        self, server: MediaHoundServer, pool: ThreadPoolExecutor
    ) -> None:
        with server.hold_token_requests() as hold:
            asking = [pool.submit(ask, server) for _ in range(3)]
            hold.wait_for(3)
            assert [request.status for request in server.token_requests] == [None] * 3
            assert not any(future.done() for future in asking)
        assert [future.result().status for future in asking] == [200] * 3

    def test_release_ends_it_inside_the_block(
        self, server: MediaHoundServer, pool: ThreadPoolExecutor
    ) -> None:
        with server.hold_api_calls() as hold:
            calling = pool.submit(call, server, "/")
            hold.wait_for(1)
            hold.release()
            assert calling.result().status == 401
            assert call(server, "/").status == 401

    def test_answers_are_those_of_the_release(
        self, server: MediaHoundServer, pool: ThreadPoolExecutor
    ) -> None:
        token = get_token(server)
        with server.hold_api_calls() as hold:
            calling = pool.submit(call, server, "/", token=token)
            hold.wait_for(1)
            server.revoke_tokens()
        assert calling.result().status == 401

    def test_plans_go_by_order_of_arrival(
        self, server: MediaHoundServer, pool: ThreadPoolExecutor
    ) -> None:
        server.answer_token_requests(1, status=500)
        with server.hold_token_requests() as hold:
            first = pool.submit(ask, server)
            hold.wait_for(1)
            second = pool.submit(ask, server)
            hold.wait_for(2)
        assert (first.result().status, second.result().status) == (500, 200)

    def test_wait_for_gives_up(self, server: MediaHoundServer) -> None:
        with (
            server.hold_token_requests() as hold,
            pytest.raises(TimeoutError, match="0 of 1 requests arrived"),
        ):
            hold.wait_for(1, timeout=0.01)

    def test_there_is_one_hold_at_a_time(self, server: MediaHoundServer) -> None:
        with server.hold_token_requests():
            with pytest.raises(RuntimeError, match="held already"):
                server.hold_token_requests().__enter__()
            with server.hold_api_calls():
                pass
        with server.hold_token_requests():
            pass


class TestLife:
    def test_addresses(self, server: MediaHoundServer) -> None:
        assert server.url.startswith("http://127.0.0.1:")
        assert server.token_url == server.url + TOKEN_PATH
        assert server.scope == "public_profile"
        assert server.credentials == {
            "client_id": "MyClientId",
            "client_secret": "MyClientSecret",
            "token_url": server.token_url,
        }
        assert server.environment == {
            "MEDIAHOUND_CLIENT_ID": "MyClientId",
            "MEDIAHOUND_CLIENT_SECRET": "MyClientSecret",
            "MEDIAHOUND_TOKEN_URL": server.token_url,
        }

    def test_no_address_before_the_start(self) -> None:
        with pytest.raises(RuntimeError, match="before it is started"):
            _ = MediaHoundServer().url

    def test_starts_once(self) -> None:
        server = MediaHoundServer()
        assert server.start() is server
        with pytest.raises(RuntimeError, match="started already"):
            server.start()
        server.stop()
        with pytest.raises(RuntimeError, match="started already"):
            server.start()

    def test_stop_is_idempotent(self) -> None:
        server = MediaHoundServer()
        server.stop()
        server.start()
        server.stop()
        server.stop()

    def test_stop_closes_the_port_and_open_connections(self) -> None:
        with MediaHoundServer() as server, connect_socket(server) as connection:
            connection.sendall(DOCUMENTED_REQUEST)
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
            server.stop()
            assert connection.recv(4096) == b""
            with pytest.raises(ConnectionRefusedError):
                connect_socket(server)
        assert server.token_url.endswith(TOKEN_PATH)

    def test_stop_ends_the_accepting_thread(self) -> None:
        with MediaHoundServer() as server:
            name = f"MediaHoundServer {urlsplit(server.url).port}"
            assert name in [thread.name for thread in threading.enumerate()]
        assert name not in [thread.name for thread in threading.enumerate()]

    def test_stops_after_a_failure_in_the_block(self) -> None:
        server = MediaHoundServer()
        with pytest.raises(ZeroDivisionError), server:
            _ = 1 / 0
        with pytest.raises(ConnectionRefusedError):
            connect_socket(server)

    def test_stops_while_requests_are_held_and_delayed(self, pool: ThreadPoolExecutor) -> None:
        with MediaHoundServer() as server:
            server.token_delay = 60
            with server.hold_token_requests() as hold, server.hold_api_calls() as api_hold:
                held = [pool.submit(ask, server), pool.submit(call, server, "/")]
                hold.wait_for(1)
                api_hold.wait_for(1)
                server.stop()
                for future in held:
                    assert isinstance(future.exception(timeout=5), OSError)
        assert [r.status for r in server.token_requests + server.api_calls] == [None, None]

    def test_stops_during_a_delay(self, pool: ThreadPoolExecutor) -> None:
        with MediaHoundServer() as server:
            server.token_delay = 60
            with server.hold_token_requests() as hold:
                delayed = pool.submit(ask, server)
                hold.wait_for(1)
            server.stop()
            assert isinstance(delayed.exception(timeout=5), OSError)

    def test_a_hold_needs_a_running_server(self) -> None:
        with MediaHoundServer() as server:
            server.stop()
            with pytest.raises(RuntimeError, match="stopped"):
                server.hold_token_requests().__enter__()


class TestDiscretion:
    def test_no_repr_shows_a_secret(self, server: MediaHoundServer) -> None:
        token = get_token(server)
        call(server, f"/echo?access_token={token}", token=token)
        shown = repr([server, server.token_requests, server.api_calls])
        assert "MyClientSecret" not in shown
        assert token not in shown
        assert repr(server.api_calls) == (
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
        server.drop_api_calls(1)
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
        server.drop_api_calls(1)
        with pytest.raises(requests.ConnectionError):
            session.get(server.url + "/echo", headers=headers, timeout=10)

    def test_a_client_without_a_handshake_blocks_nobody(
        self, server: MediaHoundServer, session: requests.Session
    ) -> None:
        with connect_socket(server) as silent:
            assert session.get(server.url, timeout=10).status_code == 401
            server.stop()
            assert silent.recv(4096) == b""

    def test_a_client_that_talks_no_tls_is_hung_up_on(
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
