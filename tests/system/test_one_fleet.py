"""Processes that share a token in Redis."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from fleet import Fleet, OneToken
from redis_server import RedisServer

from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.once


# More of them prove no more, and CI has them all the same.
WORKERS = 32 if os.environ.get("CI") else 8


@pytest.fixture(scope="module")
def processes() -> Iterator[Fleet]:
    with Fleet(workers=WORKERS) as fleet:
        yield fleet


class TestProcessesOnOneRedis(OneToken):
    @pytest.fixture
    def fleet(self, processes: Fleet, server: MediaHoundServer, redis_server: RedisServer) -> Fleet:
        return processes.join(server, "redis", redis_server.patient_url)


def test_if_the_process_with_the_lock_is_killed_the_others_get_a_token_in_time(
    server: MediaHoundServer, redis_server: RedisServer
) -> None:
    with Fleet(workers=8) as fleet:
        fleet.join(server, "redis", redis_server.patient_url, timeout=20)
        with server.hold_token_requests() as hold:
            fleet.tell("call")
            fleet.wait_for("locking")
            hold.wait_for(1)
            fleet.kill(fleet.first_to_tell("locked"))
        # Its lease lasts; who loses patience asks without it, and not all at once.
        assert len(fleet.answers()) == 1
        assert 2 <= len(server.token_requests) < 8
        assert not fleet.told["warning"]


@pytest.mark.parametrize("garbage", ["text", "the record of another key"])
def test_garbage_in_redis_is_replaced_by_one_token_request(
    processes: Fleet, server: MediaHoundServer, redis_server: RedisServer, garbage: str
) -> None:
    with redis_server.client() as client:
        others = set(client.keys())
        fleet = processes.join(server, "redis", redis_server.patient_url)
        fleet.call()
        (key,) = set(client.keys("mediahound-auth:" + "?" * 64)) - others
        moved = client.get(key).replace(key[-64:], b"ab" * 32)
        client.set(key, b"9999999999.5 garbage" if garbage == "text" else moved)
        fleet.join(server, "redis", redis_server.patient_url)
        with server.hold_token_requests() as hold:
            fleet.tell("call")
            fleet.wait_for("locking")
            hold.wait_for(1)
        assert len(fleet.answers()) == 1
        assert len(server.token_requests) == 2
        assert key[-64:] in client.get(key)
