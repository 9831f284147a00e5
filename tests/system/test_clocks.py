"""A clock that is set while a program runs, by libfaketime: Unix time, not `monotonic`.

With `monotonic` faked as well, libfaketime 0.9.10 lets no wait of Python's end.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import printed

from mediahound_auth.testing import MediaHoundServer

pytestmark = [pytest.mark.programs, pytest.mark.once]

SCRIPT = """
import asyncio, os, time
from pathlib import Path
import httpx, requests
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth

url, clock = os.environ["SERVER"], Path(os.environ["FAKETIME_TIMESTAMP_FILE"])
auth, other = MediaHoundAuth(timeout=20), HttpxAuth(timeout=20)

async def get():
    async with httpx.AsyncClient(auth=other, timeout=20) as client:
        return (await client.get(url + "/status/200")).status_code

for setting in ["+0", "+20d", "+0", "-20d", "+0", "+40d"]:
    before = time.time(), time.monotonic()
    clock.write_text(setting)
    jump = round((time.time() - before[0]) / 86400)
    assert time.monotonic() - before[1] < 60
    calls = [requests.get(url + "/status/200", auth=auth, timeout=20) for _ in range(3)]
    print(jump, {call.status_code for call in calls}, asyncio.run(get()))
"""


def test_calls_succeed_when_the_clock_is_set_with_one_token_request_per_jump(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")  # `.ci/services` installs it
    (tmp_path / "clock").write_text("+0")
    said = printed(
        SCRIPT,
        server,
        env={
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        },
        cold=True,
    )
    jumps = ["0", "20", "-20", "-20", "20", "40"]
    assert said.splitlines() == [f"{jump} {{200}} 200" for jump in jumps]
    assert 1 < len(server.token_requests) <= len(jumps)
