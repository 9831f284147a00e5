"""Processes that share a token in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet import Fleet, OneToken

from mediahound_auth.testing import MediaHoundServer

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def processes() -> Iterator[Fleet]:
    with Fleet(workers=8) as fleet:
        yield fleet


class TestEightProcessesOnOneFolder(OneToken):
    @pytest.fixture
    def fleet(self, processes: Fleet, server: MediaHoundServer, tmp_path: Path) -> Fleet:
        return processes.join(server, "file", tmp_path / "tokens")


def test_if_the_process_with_the_lock_is_killed_another_one_requests_the_token(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    with Fleet(workers=8) as fleet:
        fleet.join(server, "file", tmp_path / "tokens")
        with server.hold_token_requests() as hold:
            fleet.tell("call")
            fleet.wait_for("locking")
            hold.wait_for(1)
            fleet.kill(fleet.first_to_tell("locked"))
            # The lock ends with its holder, and the next one asks.
            hold.wait_for(2)
        assert len(fleet.answers()) == 1
        assert len(server.token_requests) == 2
        assert fleet.told["save"] == 1
        assert not fleet.told["warning"]


def test_a_full_disk_causes_one_warning_and_no_failed_call(
    processes: Fleet, server: MediaHoundServer, tmp_path: Path
) -> None:
    fleet = processes.join(server, "file", tmp_path / "tokens")
    one, other, *_ = fleet.workers
    fleet.tell("write no more than", 10, workers=[one])
    fleet.wait_for("limited", [one])
    fleet.call([one])
    server.revoke_tokens()
    (token,) = fleet.call([one])
    assert fleet.told["warning"] == 1
    assert not list((tmp_path / "tokens").glob("*.json"))
    assert not list((tmp_path / "tokens").glob("*.tmp"))
    # When there is room again, the store is used again.
    server.revoke_tokens()
    fleet.tell("write no more than", 1 << 30, workers=[one])
    fleet.wait_for("limited", [one])
    (token,) = fleet.call([one])
    asked = len(server.token_requests)
    assert fleet.call([other]) == {token}
    assert len(server.token_requests) == asked == 3
    assert fleet.told["warning"] == 1


@pytest.mark.parametrize("garbage", ["text", "the record of another key"])
def test_garbage_in_a_file_is_replaced_by_one_token_request(
    processes: Fleet, server: MediaHoundServer, tmp_path: Path, garbage: str
) -> None:
    fleet = processes.join(server, "file", tmp_path / "tokens")
    fleet.call()
    (file,) = (tmp_path / "tokens").glob("*.json")
    moved = file.read_bytes().replace(file.stem.encode(), b"ab" * 32)
    file.write_bytes(b"9999999999.5 garbage" if garbage == "text" else moved)
    fleet.join(server, "file", tmp_path / "tokens")
    with server.hold_token_requests() as hold:
        fleet.tell("call")
        fleet.wait_for("locking")
        hold.wait_for(1)
    assert len(fleet.answers()) == 1
    assert len(server.token_requests) == 2
    assert file.stem.encode() in file.read_bytes()
