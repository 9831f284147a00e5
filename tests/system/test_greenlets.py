"""gevent and eventlet, patched before or after the import."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from scripts import printed, started

from mediahound_auth.testing import MediaHoundServer

PATCH = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    # Without dnspython, which is all that eventlet would use of what happens to be installed.
    "eventlet": "import os; os.environ['EVENTLET_NO_GREENDNS'] = 'yes'\n"
    "import eventlet; eventlet.monkey_patch()",
}

IMPORTS = """
import requests
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import FileStore
"""

CALLS = """
import os, sys, threading

url, folder = os.environ["SERVER"], sys.argv[1]
auth = MediaHoundAuth(origins=[url], timeout=20, store=FileStore(folder))

def call():
    statuses.append(requests.get(url + "/status/200", auth=auth, timeout=20).status_code)

statuses = []
threads = [threading.Thread(target=call, daemon=True) for _ in range(10)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(20)
print(statuses)
"""


@pytest.mark.parametrize("kind", PATCH)
@pytest.mark.parametrize("when", ["early", "late"])
def test_greenlets_share_a_token_request(
    kind: str, when: str, server: MediaHoundServer, tmp_path: Path
) -> None:
    steps = [PATCH[kind], IMPORTS] if when == "early" else [IMPORTS, PATCH[kind]]
    server.token_delay = 0.1
    script = "\n".join([*steps, CALLS])
    assert printed(script, server, tmp_path / "tokens", cold=True) == str([200] * 10)
    assert len(server.token_requests) == 1


def test_a_gevent_timeout_interrupts_only_its_own_greenlet(server: MediaHoundServer) -> None:
    script = """
import gevent
import os
auth = MediaHoundAuth(origins=[os.environ["SERVER"]], timeout=50)
waiting = gevent.spawn(auth.token)
try:
    with gevent.Timeout(0.2, TimeoutError("mine")):
        auth.token()
except TimeoutError as error:
    print(error, flush=True)
input()
print(waiting.get() == auth.token())
"""
    with (
        server.hold_token_requests() as hold,
        started(sys.executable, "-c", PATCH["gevent"] + IMPORTS + script, server=server) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "mine\n"
        hold.release()
        assert process.communicate("\n", timeout=60)[0] == "True\n"
    assert len(server.token_requests) == 1
