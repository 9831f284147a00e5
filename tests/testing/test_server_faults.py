"""MediaHoundServer: planned failures, held responses, start and stop."""

from __future__ import annotations

import http.client
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from raw_http import (
    DOCUMENTED_REQUEST,
    TOKEN_PATH,
    ask,
    call,
    connect_socket,
    get_token,
)

from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.once


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


class TestPlans:
    def test_a_planned_response_is_given_as_planned(self, server: MediaHoundServer) -> None:
        server.respond_to_token_requests(
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
        server.respond_to_token_requests(
            1, status=200, body="<ä>", headers={"content-type": "text/html"}
        )
        server.respond_to_token_requests(1, status=502, body=b"\xff")
        reply = ask(server)
        assert (reply.body, reply.headers["Content-Type"]) == ("<ä>".encode(), "text/html")
        reply = ask(server)
        assert (reply.body, reply.headers["Content-Type"]) == (b"\xff", None)

    def test_a_response_may_break_off(self, server: MediaHoundServer) -> None:
        server.respond_to_api_requests(
            1, status=200, body=b"{", headers={"Content-Length": "9", "Connection": "close"}
        )
        with pytest.raises(http.client.IncompleteRead):
            call(server, "/")

    def test_plans_queue_up(self, server: MediaHoundServer) -> None:
        server.respond_to_token_requests(1)
        server.drop_token_requests(1)
        server.respond_to_token_requests(1, status=500)
        assert ask(server).status == 503
        with pytest.raises(ConnectionResetError):
            ask(server)
        assert ask(server).status == 500
        assert ask(server).status == 200

    def test_a_response_planned_for_inf_requests_ends_with_the_next_plan(
        self, server: MediaHoundServer
    ) -> None:
        server.respond_to_token_requests(math.inf)
        assert {ask(server).status for _ in range(5)} == {503}
        server.respond_to_token_requests(1, status=500)
        assert [ask(server).status for _ in range(2)] == [500, 200]

    def test_zero_clears_the_plans(self, server: MediaHoundServer) -> None:
        server.drop_token_requests(1)
        server.respond_to_token_requests(math.inf)
        server.respond_to_token_requests(0)
        assert ask(server).status == 200

    @pytest.mark.parametrize("n", [-1, 1.5, math.nan, -math.inf])
    def test_n_is_a_whole_number(self, server: MediaHoundServer, n: float) -> None:
        with pytest.raises(ValueError, match="whole number"):
            server.respond_to_token_requests(n)

    def test_api_calls_have_plans_of_their_own(self, server: MediaHoundServer) -> None:
        server.respond_to_api_requests(1, status=418)
        token = get_token(server)
        assert call(server, "/", token=token).status == 418
        server.drop_api_requests(1)
        assert get_token(server) == token
        with pytest.raises(ConnectionResetError):
            call(server, "/", token=token)
        assert call(server, "/", token=token).status == 200
        assert [request.status for request in server.api_requests] == [418, None, 200]

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
        with server.hold_api_requests() as hold:
            calling = pool.submit(call, server, "/")
            hold.wait_for(1)
            hold.release()
            assert calling.result().status == 401
            assert call(server, "/").status == 401

    def test_a_held_response_is_decided_when_it_is_released(
        self, server: MediaHoundServer, pool: ThreadPoolExecutor
    ) -> None:
        token = get_token(server)
        with server.hold_api_requests() as hold:
            calling = pool.submit(call, server, "/", token=token)
            hold.wait_for(1)
            server.revoke_tokens()
        assert calling.result().status == 401

    def test_plans_go_by_order_of_arrival(
        self, server: MediaHoundServer, pool: ThreadPoolExecutor
    ) -> None:
        server.respond_to_token_requests(1, status=500)
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
            with server.hold_api_requests():
                pass
        with server.hold_token_requests():
            pass


class TestLife:
    def test_the_addresses_of_the_server(self, server: MediaHoundServer) -> None:
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
        with pytest.raises(RuntimeError, match="started before"):
            server.start()
        server.stop()
        with pytest.raises(RuntimeError, match="started before"):
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
            with server.hold_token_requests() as hold, server.hold_api_requests() as api_hold:
                held = [pool.submit(ask, server), pool.submit(call, server, "/")]
                hold.wait_for(1)
                api_hold.wait_for(1)
                server.stop()
                for future in held:
                    assert isinstance(future.exception(timeout=5), OSError)
        assert [r.status for r in server.token_requests + server.api_requests] == [None, None]

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
