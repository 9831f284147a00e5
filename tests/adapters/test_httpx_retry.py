"""Retries after a 401 with httpx and httpx2."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from mediahound_auth.testing import MediaHoundServer

if TYPE_CHECKING:  # at run time, the fixtures: httpx and httpx2
    import httpx

    from mediahound_auth.httpx import MediaHoundAuth

pytestmark = pytest.mark.anyio

# More than one chunk of httpx's, and no two alike.
LARGE = b"".join(b"%07d\n" % number for number in range(20_000))

Body = Callable[[], Mapping[str, Any]]


class Pipe(io.RawIOBase):
    """A file that cannot go back to its start, and whose length nobody knows."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        return self._content.readinto(buffer)


class Rewound:
    """Chunks to which there is a fresh iterator each time, but of a type nobody knows."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield LARGE


def half_read_file() -> Mapping[str, Any]:
    file = io.BytesIO(LARGE)
    file.seek(len(LARGE) // 2)
    # httpx takes the whole file for what will be sent, unless told better.
    return {"content": file, "headers": {"Content-Length": str(len(LARGE) // 2)}}


def generated() -> Iterator[bytes]:
    yield b"never "
    yield b"again"


async def generated_async() -> AsyncIterator[bytes]:
    yield b"never "
    yield b"again"


REPLAYABLE_BY_BOTH: dict[str, tuple[Body, bytes]] = {
    "bytes": (lambda: {"content": LARGE}, LARGE),
    "str": (lambda: {"content": "Gladiátor"}, "Gladiátor".encode()),
    "json": (lambda: {"json": {"name": "Gladiator"}}, b'"Gladiator"}'),
    "form": (lambda: {"data": {"name": "Gladiator"}}, b"name=Gladiator"),
    "nothing": (lambda: {}, b""),
    "multipart of bytes": (lambda: {"files": {"poster": LARGE}, "data": {"name": "x"}}, LARGE),
    "multipart of a file": (lambda: {"files": {"poster": io.BytesIO(LARGE)}}, LARGE),
}
REPLAYABLE: dict[str, tuple[Body, bytes]] = {
    **REPLAYABLE_BY_BOTH,
    "file in memory": (lambda: {"content": io.BytesIO(LARGE)}, LARGE),
    "file from its middle": (half_read_file, LARGE[len(LARGE) // 2 :]),
    "list": (lambda: {"content": [b"two ", b"chunks"]}, b"two chunks"),
    "tuple": (lambda: {"content": (b"two ", b"chunks")}, b"two chunks"),
}
ONCE_ONLY: dict[str, Body] = {
    "generator": lambda: {"content": generated()},
    "iterator": lambda: {"content": iter([b"never ", b"again"])},
    "pipe": lambda: {"content": Pipe(LARGE)},
    "multipart of a pipe": lambda: {"files": {"poster": Pipe(LARGE)}},
}
ONCE_ONLY_ASYNC: dict[str, Body] = {
    "async generator": lambda: {"content": generated_async()},
    "unknown async iterable": lambda: {"content": Rewound()},
    "multipart of a pipe": lambda: {"files": {"poster": Pipe(LARGE)}},
}


@pytest.fixture
def auth(MediaHoundAuth: Any, server: MediaHoundServer) -> Any:
    """Has a token that looks live and was revoked."""
    auth = MediaHoundAuth(**server.credentials)
    auth.token()
    server.revoke_tokens()
    return auth


@pytest.fixture
def client(httpx: Any, auth: MediaHoundAuth) -> Iterator[httpx.Client]:
    with httpx.Client(auth=auth) as client:
        yield client


def statuses(server: MediaHoundServer) -> list[int | None]:
    return [call.status for call in server.api_requests]


@pytest.mark.parametrize(("body", "sent"), REPLAYABLE.values(), ids=REPLAYABLE.keys())
def test_a_rejected_call_is_repeated_with_another_token_and_the_same_body(
    body: Body, sent: bytes, client: httpx.Client, server: MediaHoundServer
) -> None:
    assert client.post(f"{server.url}/echo", **body()).status_code == 200
    first, second = server.api_requests
    assert (first.status, second.status) == (401, 200)
    assert first.headers["Authorization"] != second.headers["Authorization"]
    assert first.body == second.body
    assert sent in second.body
    assert len(server.token_requests) == 2


@pytest.mark.parametrize(
    ("body", "sent"), REPLAYABLE_BY_BOTH.values(), ids=REPLAYABLE_BY_BOTH.keys()
)
async def test_a_rejected_async_call_is_repeated_with_the_same_body(
    httpx: Any, body: Body, sent: bytes, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    async with httpx.AsyncClient(auth=auth) as client:
        assert (await client.post(f"{server.url}/echo", **body())).status_code == 200
    first, second = server.api_requests
    assert (first.status, second.status) == (401, 200)
    assert first.body == second.body
    assert sent in second.body
    assert len(server.token_requests) == 2


@pytest.mark.parametrize("body", ONCE_ONLY.values(), ids=ONCE_ONLY.keys())
def test_a_body_that_cannot_be_sent_again_is_not_retried_and_the_next_call_has_the_new_token(
    body: Body, client: httpx.Client, server: MediaHoundServer
) -> None:
    assert client.post(f"{server.url}/echo", **body()).status_code == 401
    assert statuses(server) == [401]
    assert client.post(f"{server.url}/echo", **body()).status_code == 200
    assert len(server.token_requests) == 2


@pytest.mark.parametrize("body", ONCE_ONLY_ASYNC.values(), ids=ONCE_ONLY_ASYNC.keys())
async def test_an_async_body_that_cannot_be_sent_again_is_not(
    httpx: Any, body: Body, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    async with httpx.AsyncClient(auth=auth) as client:
        assert (await client.post(f"{server.url}/echo", **body())).status_code == 401
        assert statuses(server) == [401]
        assert (await client.post(f"{server.url}/echo", **body())).status_code == 200
    assert len(server.token_requests) == 2


def test_a_file_on_disk_is_sent_again(
    client: httpx.Client, server: MediaHoundServer, tmp_path: Path
) -> None:
    path = tmp_path / "poster"
    path.write_bytes(LARGE)
    with path.open("rb") as file:
        assert client.post(f"{server.url}/echo", content=file).status_code == 200
    assert [call.body for call in server.api_requests] == [LARGE, LARGE]


async def test_an_async_file_is_sent_once_and_left_alone(
    httpx: Any, auth: MediaHoundAuth, server: MediaHoundServer, tmp_path: Path
) -> None:
    path = tmp_path / "poster"
    path.write_bytes(b"two\nlines\n")
    async with httpx.AsyncClient(auth=auth) as client:
        for expected in (401, 200):
            async with await anyio.open_file(path, "rb") as file:
                response = await client.post(f"{server.url}/echo", content=file)
            assert response.status_code == expected
    assert [call.body for call in server.api_requests] == [b"two\nlines\n"] * 2


def test_the_retry_is_the_same_request_and_goes_through_the_clients_hooks(
    httpx: Any, client: httpx.Client, server: MediaHoundServer
) -> None:
    seen: list[tuple[str, str, object]] = []

    def hook(request: httpx.Request) -> None:
        seen.append((request.method, str(request.url), request.extensions["timeout"]))

    client.event_hooks = {"request": [hook]}
    url = f"{server.url}/echo?page=2"
    assert client.put(url, content=b"x", timeout=7, headers={"X-Mine": "1"}).status_code == 200
    assert seen == [("PUT", url, httpx.Timeout(7).as_dict())] * 2
    assert [call.headers["X-Mine"] for call in server.api_requests] == ["1", "1"]


def test_the_history_shows_the_401(client: httpx.Client, server: MediaHoundServer) -> None:
    response = client.post(f"{server.url}/echo", content=b"body", headers={"X-Mine": "1"})
    [earlier] = response.history
    assert (earlier.status_code, response.status_code) == (401, 200)
    assert earlier.request.content == earlier.request.read() == b"body"
    assert (earlier.url, earlier.request.headers["X-Mine"]) == (response.url, "1")


def test_the_history_has_the_rejected_request_without_its_token(
    client: httpx.Client, server: MediaHoundServer
) -> None:
    response = client.get(f"{server.url}/status/200")
    [earlier] = response.history
    assert earlier.request.headers["Authorization"] == "Bearer ***"
    _, retried = server.api_requests
    assert response.request.headers["Authorization"] == retried.headers["Authorization"]


def test_a_cookie_that_comes_with_the_401_goes_back_with_the_retry(
    client: httpx.Client, server: MediaHoundServer
) -> None:
    server.respond_to_api_requests(
        1, status=401, headers={"Set-Cookie": "mediahound=sniffing; Path=/"}
    )
    assert client.get(f"{server.url}/status/200").status_code == 200
    assert server.api_requests[1].headers["Cookie"] == "mediahound=sniffing"


def test_a_stream_is_retried_and_still_a_stream(
    client: httpx.Client, server: MediaHoundServer
) -> None:
    with client.stream("GET", f"{server.url}/stream?chunks=3") as response:
        assert not response.is_stream_consumed
        assert list(response.iter_lines()) == ["chunk 0", "chunk 1", "chunk 2"]
    assert statuses(server) == [401, 200]


async def test_an_async_stream_is_retried_and_still_a_stream(
    httpx: Any, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    async with (
        httpx.AsyncClient(auth=auth) as client,
        client.stream("GET", f"{server.url}/stream?chunks=3") as response,
    ):
        assert not response.is_stream_consumed
        lines = [line async for line in response.aiter_lines()]
    assert lines == ["chunk 0", "chunk 1", "chunk 2"]
    assert statuses(server) == [401, 200]


def test_after_a_redirect_the_rejected_request_is_retried(
    client: httpx.Client, server: MediaHoundServer
) -> None:
    server.respond_to_api_requests(1, status=307, headers={"Location": "/echo"})
    response = client.post(f"{server.url}/moved", content=LARGE, follow_redirects=True)
    assert response.status_code == 200
    assert [call.path for call in server.api_requests] == ["/moved", "/echo", "/echo"]
    assert {call.body for call in server.api_requests} == {LARGE}


def test_a_call_is_retried_once_and_a_second_401_comes_as_it_is(
    httpx: Any, MediaHoundAuth: Any, client_id: str
) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=False) as server:
        server.reject_api_requests = True
        with httpx.Client(auth=MediaHoundAuth(**server.credentials)) as client:
            response = client.get(f"{server.url}/status/200")
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
        assert response.json()["error"] == "invalid_token"
        assert statuses(server) == [401, 401]
        assert len(server.token_requests) == 2


def test_a_call_is_not_retried_with_the_token_that_was_rejected(
    httpx: Any, MediaHoundAuth: Any, server: MediaHoundServer
) -> None:
    server.reject_api_requests = True
    with httpx.Client(auth=MediaHoundAuth(**server.credentials)) as client:
        assert client.get(f"{server.url}/status/200").status_code == 401
    assert statuses(server) == [401]


def test_when_there_is_another_token_by_now_the_retry_costs_no_token_request(
    client: httpx.Client, auth: MediaHoundAuth, server: MediaHoundServer
) -> None:
    with ThreadPoolExecutor(1) as pool, server.hold_api_requests() as hold:
        rejected = pool.submit(client.get, f"{server.url}/status/200", timeout=30)
        hold.wait_for(1)
        token = auth.renew()
        assert len(server.token_requests) == 2
        hold.release()
        assert rejected.result().status_code == 200
    assert server.api_requests[1].headers["Authorization"] == token.authorization
    assert len(server.token_requests) == 2


def test_a_401_is_returned_when_no_other_token_can_be_requested(
    client: httpx.Client, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(math.inf, status=400, body={"error": "bad_day"})
    assert client.get(f"{server.url}/status/200").status_code == 401
    assert statuses(server) == [401]
