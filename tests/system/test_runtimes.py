"""Other runtimes: uvloop, nested loops, multiprocessing, suspended processes, interpreter exit."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from scripts import forked, printed, started

from mediahound_auth.testing import MediaHoundServer

SYNC = """
import os, sys
import requests
from mediahound_auth.requests import MediaHoundAuth

url = os.environ["SERVER"]
auth = MediaHoundAuth(origins=[url], timeout=20)

def get():
    return requests.get(url + "/status/200", auth=auth, timeout=20).status_code
"""

ASYNC = """
import asyncio, os
import httpx
from mediahound_auth.httpx import MediaHoundAuth

url = os.environ["SERVER"]
auth = MediaHoundAuth(origins=[url], timeout=20)

async def get_all():
    async with httpx.AsyncClient(auth=auth, timeout=20) as client:
        return [
            response.status_code
            for response in await asyncio.gather(*(client.get(url + "/status/200") for _ in "123"))
        ]
"""


# Python handles signals between two steps of a program, so one that comes just before a system call
# interrupts nothing. Hence a timer that goes on until one is handled.
ON_ALARM = """
import signal

def on_alarm(*_):
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise TimeoutError("mine")

signal.signal(signal.SIGALRM, on_alarm)
"""


def test_tasks_on_uvloop_share_a_token_request(server: MediaHoundServer) -> None:
    script = "import uvloop\nprint(uvloop.run(get_all()))"
    assert printed(ASYNC + script, server) == "[200, 200, 200]"
    assert len(server.token_requests) == 1


def test_calls_in_a_notebook_work_while_its_loop_runs(server: MediaHoundServer) -> None:
    """A cell may call what blocks; with nest_asyncio, also what runs the loop within itself."""
    script = """
async def cells():
    print(httpx.get(url + "/status/200", auth=auth).status_code)
    auth.forget()
    print(await get_all())
"""
    expected = ["200", "[200, 200, 200]"]
    if sys.version_info < (3, 14):  # from then on, httpx does not work with nest_asyncio
        script += """
    import nest_asyncio
    nest_asyncio.apply()
    auth.forget()
    print(asyncio.run(get_all()))
"""
        expected.append("[200, 200, 200]")
    script += "\nasyncio.run(cells())"
    assert printed(ASYNC + script, server).splitlines() == expected
    assert len(server.token_requests) == len(expected)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_that_multiprocessing_starts_get_tokens(
    method: str, server: MediaHoundServer, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    main = """
import multiprocessing

def call(auth):
    return requests.get(url + "/status/200", auth=auth, timeout=20).status_code

if __name__ == "__main__":
    get()
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        print(pool.map(call, [auth, auth]))
"""
    script.write_text(SYNC + main)
    with started(sys.executable, script, method, server=server) as process:
        assert process.communicate(timeout=60)[0] == "[200, 200]\n"
    assert len(server.token_requests) == 2  # a pickle holds no token


def test_a_call_during_which_the_process_was_stopped_gets_its_token(
    server: MediaHoundServer,
) -> None:
    script = SYNC.replace("timeout=20)\n\ndef", "timeout=2)\n\ndef") + "print(get())"
    with (
        server.hold_token_requests() as hold,
        forked(script, server=server) as process,
    ):
        hold.wait_for(1)
        process.send_signal(signal.SIGSTOP)
        # It is stopped for longer than its time limit: that is what this is about.
        with pytest.raises(TimeoutError):
            hold.wait_for(2, timeout=4)
        process.send_signal(signal.SIGCONT)
        hold.wait_for(2)
        hold.release()
        assert process.communicate()[0] == "200\n"


def test_a_timeout_raised_by_a_signal_handler_interrupts_token(
    server: MediaHoundServer,
) -> None:
    script = """
signal.setitimer(signal.ITIMER_REAL, 0.2, 0.05)
try:
    auth.token()
except TimeoutError as error:
    print(error)
"""
    with server.hold_token_requests():
        assert printed(SYNC + ON_ALARM + script, server) == "mine"


def test_a_timeout_raised_by_a_signal_handler_interrupts_forget(
    server: MediaHoundServer,
) -> None:
    script = """
import threading
from mediahound_auth import MemoryStore

class Slow(MemoryStore):
    def discard(self, key):
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.05)
        threading.Event().wait(1)

try:
    MediaHoundAuth(store=Slow()).forget()
except TimeoutError as error:
    print(error)
"""
    assert printed(SYNC + ON_ALARM + script, server) == "mine"


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_a_timeout_raised_by_a_signal_handler_interrupts_reading_a_401(
    library: str, client_id: str
) -> None:
    script = """
import socket, threading, time
import {library} as library
from mediahound_auth.{library} import MediaHoundAuth

def serve():
    # An API whose 401 comes without its body, and what it accepts after that.
    connection, _ = listening.accept()
    connection.recv(10_000)
    connection.sendall(b"HTTP/1.1 401 Unauthorized\\r\\nContent-Length: 9\\r\\n\\r\\n")
    while auth.token() == first:
        time.sleep(0.05)
    time.sleep(0.2)  # by now it reads the body, for a second
    if {alarm}:
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.05)
    other, _ = listening.accept()
    other.recv(10_000)
    other.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")

listening = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, daemon=True).start()
api = f"http://127.0.0.1:{{listening.getsockname()[1]}}"
auth = MediaHoundAuth(origins=[api], timeout=20)
first = auth.token()
try:
    print(library.get(api + "/", auth=auth, timeout=20).status_code)
except TimeoutError as error:
    print(error)
"""
    with MediaHoundServer(client_id=client_id, return_same_token=False) as server:
        script = SYNC + ON_ALARM + script
        assert printed(script.format(library=library, alarm=True), server) == "mine"
        # Our own patience with the body is a second, after which the call goes on.
        assert printed(script.format(library=library, alarm=False), server) == "200"


def test_a_call_at_the_end_of_the_program_gets_its_token(server: MediaHoundServer) -> None:
    script = "import atexit\natexit.register(lambda: print(get()))"
    assert printed(SYNC + script, server, cold=True) == "200"


def test_a_program_ends_while_a_renewal_is_in_progress(server: MediaHoundServer) -> None:
    script = """
import threading
threading.Thread(target=auth.token, daemon=True).start()
input()
print("over")
"""
    with (
        server.hold_token_requests() as hold,
        started(sys.executable, "-c", SYNC + script, server=server) as process,
    ):
        hold.wait_for(1)
        assert process.communicate("\n", timeout=15)[0] == "over\n"


if sys.version_info >= (3, 13):

    def test_calls_and_tasks_in_a_subinterpreter_get_tokens(server: MediaHoundServer) -> None:
        script = """
import os
if sys.version_info >= (3, 14):
    from concurrent import interpreters
    run = interpreters.create().exec
else:
    import _interpreters
    interpreter = _interpreters.create()
    run = lambda code: _interpreters.exec(interpreter, code)

run(os.environ["CODE"])
"""
        code = SYNC + "print(get(), flush=True)\nauth.forget()\n"
        code += ASYNC + "print(asyncio.run(get_all()), flush=True)"
        expected = ["200", "[200, 200, 200]"]
        assert printed("import sys\n" + script, server, env={"CODE": code}).split("\n") == expected
