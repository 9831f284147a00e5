"""fork(), pickle and copy."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests
from libraries import SYNC, Library
from scripts import printed, started

import mediahound_auth as mh
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

EACH = pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)

# What each script below begins with. A child that hangs is ended by its alarm.
PRELUDE = """
import multiprocessing, os, signal, sys, threading
import requests
from mediahound_auth.requests import MediaHoundAuth

auth = MediaHoundAuth(origins=[sys.argv[1]])
url = sys.argv[1] + "/status/200"

def get():
    return requests.get(url, auth=auth).status_code

def in_child(work):
    if pid := os.fork():
        return pid
    signal.alarm(10)
    try:
        assert work() == 200
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)

def exit_code(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""

FORK_WITH_A_TOKEN = """
assert get() == 200
print(exit_code(in_child(get)))
"""

FORK_DURING_A_TOKEN_REQUEST = """
renewal = threading.Thread(target=get)
renewal.start()
sys.stdin.readline()
child = in_child(get)
renewal.join()
print(exit_code(child))
"""

FORK_UNDER_CONTENTION = """
stopped = threading.Event()
def contend():
    while not stopped.is_set():
        auth.forget()
threads = [threading.Thread(target=contend) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(25):
    if code := exit_code(in_child(lambda: auth.forget() or 200)):
        break
stopped.set()
for thread in threads:
    thread.join()
print(code)
"""

MULTIPROCESSING = """
assert get() == 200
def call(number):
    return get()
with multiprocessing.get_context("fork").Pool(3) as pool:
    print(pool.map(call, range(6), chunksize=1))
"""


# They start cold, since a fork of the warm process may be under coverage, which holds a lock of its
# own when a thread enters a function.


def prints(script: str, server: MediaHoundServer) -> str:
    return printed(PRELUDE + script, server, server.url, cold=True)


def test_a_forked_child_uses_the_token_of_its_parent(server: MediaHoundServer) -> None:
    assert prints(FORK_WITH_A_TOKEN, server) == "0"
    assert len(server.api_requests) == 2
    assert len(server.token_requests) == 1


def test_a_child_forked_during_a_token_request_sends_its_own(
    server: MediaHoundServer,
) -> None:
    script = PRELUDE + FORK_DURING_A_TOKEN_REQUEST
    with (
        server.hold_token_requests() as hold,
        started(sys.executable, "-c", script, server.url, server=server) as process,
    ):
        hold.wait_for(1)
        assert process.stdin is not None
        process.stdin.write("fork\n")
        process.stdin.flush()
        hold.wait_for(2)
        hold.release()
        assert process.communicate(timeout=60)[0].strip() == "0"
    assert [call.status for call in server.api_requests] == [200, 200]


def test_a_forked_child_inherits_no_lock_that_was_held(server: MediaHoundServer) -> None:
    assert prints(FORK_UNDER_CONTENTION, server) == "0"


def test_a_pool_of_forked_processes_uses_the_token_of_its_parent(
    server: MediaHoundServer,
) -> None:
    assert prints(MULTIPROCESSING, server) == "[200, 200, 200, 200, 200, 200]"
    assert len(server.token_requests) == 1


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


WAYS = pytest.mark.parametrize(
    "again", [pickled, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"]
)
COPIES = pytest.mark.parametrize("again", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
Again = Callable[[Any], Any]


@EACH
@WAYS
def test_a_pickled_or_copied_auth_object_works_and_shares_the_token(
    library: Library, again: Again, server: MediaHoundServer
) -> None:
    def status(auth: Any) -> int:
        return int(library.get(f"{server.url}/status/200", auth).status_code)

    original = library.auth(server)
    before = again(original)
    assert status(before) == 200
    after = again(original)
    assert status(after) == status(original) == 200
    assert original.token() == before.token() == after.token()
    assert len(server.token_requests) == 1


@EACH
@WAYS
def test_a_pickle_or_copy_has_all_settings_of_the_original(
    library: Library, again: Again, client_id: str
) -> None:
    with MediaHoundServer(client_id=client_id, client_auth="client_secret_post") as server:
        options: Any = {"scope": "public_profile", "client_auth": "client_secret_post"}
        assert again(library.auth(server, **options)).token().scope == "public_profile"
        twin = again(library.auth(server, **options, timeout=0.3))
        asked_at = time.monotonic()
        with server.hold_token_requests(), pytest.raises(mh.TokenEndpointUnavailable):
            twin.renew()
        assert time.monotonic() - asked_at < 10


@EACH
@COPIES
def test_a_copy_shares_the_store_of_the_original(
    library: Library, again: Again, server: MediaHoundServer
) -> None:
    original = library.auth(server, store=mh.MemoryStore())
    assert again(original).token() == original.token()
    assert len(server.token_requests) == 1


class MyAdapter(requests.adapters.HTTPAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        request.headers["X-Sent-By"] = "me"
        return super().send(request, *args, **kwargs)


class MyTransport(httpx.HTTPTransport):
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["X-Sent-By"] = "me"
        return super().handle_request(request)


@WAYS
def test_a_pickle_or_copy_uses_the_session_of_the_original(
    again: Again, server: MediaHoundServer
) -> None:
    with requests.Session() as session:
        session.mount("http://", MyAdapter())
        again(RequestsAuth(**server.credentials, session=session)).token()
    assert server.token_requests[0].headers["X-Sent-By"] == "me"


@COPIES
def test_a_copy_uses_the_httpx_client_of_the_original(
    again: Again, server: MediaHoundServer
) -> None:
    with httpx.Client(transport=MyTransport()) as client:
        again(HttpxAuth(**server.credentials, client=client)).token()
    assert server.token_requests[0].headers["X-Sent-By"] == "me"


@WAYS
def test_a_session_with_an_auth_object_can_be_pickled_and_copied(
    again: Again, server: MediaHoundServer
) -> None:
    with requests.Session() as session:
        session.auth = RequestsAuth(**server.credentials)
        session.get(f"{server.url}/status/200")
        with again(session) as twin:
            assert twin.get(f"{server.url}/status/200").status_code == 200
            server.revoke_tokens()
            assert twin.get(f"{server.url}/status/200").status_code == 200
    assert len(server.token_requests) == 2


@EACH
def test_a_pickle_works_in_another_process(library: Library, server: MediaHoundServer) -> None:
    script = "import pickle, sys; print(pickle.load(sys.stdin.buffer).token())"
    auth = library.auth(server)
    auth.token()
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps(auth), capture_output=True, timeout=60
    )
    assert done.stdout.startswith(b"Token("), done.stderr
    assert len(server.token_requests) == 2


@EACH
def test_no_pickle_holds_a_token(library: Library, server: MediaHoundServer) -> None:
    store = mh.MemoryStore()
    auth = library.auth(server, store=store)
    token = auth.token().access_token.encode()
    things: list[object] = [auth, store]
    if isinstance(auth, RequestsAuth):
        session = requests.Session()
        session.auth = auth
        session.get(f"{server.url}/status/200").close()
        things.append(session)
    for thing in things:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert token not in pickle.dumps(thing, protocol)


@WAYS
def test_a_pickled_or_copied_memory_store_is_empty_and_works(again: Again) -> None:
    store, token = mh.MemoryStore(), mh.Token("abc", 2.0, 1.0)
    store.save("key", token)
    twin = again(store)
    assert twin.load("key") is None
    twin.save("key", token)
    with twin.lock("key", 1.0):
        assert twin.load("key") == token
