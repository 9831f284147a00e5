"""`mediahound-auth check` at an endpoint whose response does not end."""

from __future__ import annotations

import pytest
from endless import SLOW, EndlessServer

from mediahound_auth._cli.check import check
from mediahound_auth.requests import MediaHoundAuth


@pytest.mark.timeout(30)
@pytest.mark.parametrize("attack", ["status line", "header", "1xx", "silence"])
def test_check_ends_at_its_time_limit(attack: str, capsys: pytest.CaptureFixture[str]) -> None:
    with EndlessServer(lambda _: SLOW[attack]()) as server:
        auth = MediaHoundAuth("id", "secret", token_url=f"{server.url}/token", timeout=0.3)
        assert check(auth) == 3
        assert "FAIL  reachability" in capsys.readouterr().out
        server.wait_until_closed()
