"""Libraries and code of users that wrap requests, httpx or an auth object."""

from __future__ import annotations

import array
import asyncio
import mmap
import queue
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
import requests
from libraries import SYNC, Library

import mediahound_auth.httpx
import mediahound_auth.httpx2
import mediahound_auth.requests
from mediahound_auth import TokenEndpointUnavailable
from mediahound_auth.testing import MediaHoundServer

BODY = b"".join(b"%07d\n" % number for number in range(20_000))


def in_a_file() -> mmap.mmap:
    with tempfile.TemporaryFile() as file:
        file.write(BODY)
        file.flush()
        return mmap.mmap(file.fileno(), 0)


BUFFERS: dict[str, Callable[[], Any]] = {
    "mmap": in_a_file,
    "memoryview": lambda: memoryview(BODY),
    "array": lambda: array.array("B", BODY),
    "bytearray": lambda: bytearray(BODY),
}


@pytest.mark.parametrize("body", BUFFERS.values(), ids=BUFFERS)
def test_requests_retries_any_buffer(body: Callable[[], Any], server: MediaHoundServer) -> None:
    auth = mediahound_auth.requests.MediaHoundAuth(**server.credentials)
    auth.token()
    server.revoke_tokens()
    response = requests.post(f"{server.url}/echo", data=body(), auth=auth, timeout=20)
    assert response.status_code == 200
    assert [call.body for call in server.api_requests] == [BODY, BODY]


TOKEN_RESPONSE = {"access_token": "mocked", "token_type": "bearer", "expires_in": 86_400}


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_transport_may_return_a_response_that_has_been_read(library: Any) -> None:
    def respond(_: Any) -> Any:
        return library.Response(200, json=TOKEN_RESPONSE)

    with library.Client(transport=library.MockTransport(respond)) as client:
        kind = getattr(mediahound_auth, library.__name__).MediaHoundAuth
        auth = kind(f"of a mock {library.__name__}", "s3cr3t", client=client)
        assert auth.token().access_token == "mocked"


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_wrapper_may_call_auth_flow(library: Any, server: MediaHoundServer) -> None:
    auth = getattr(mediahound_auth, library.__name__).MediaHoundAuth(**server.credentials)

    class Wrapper(library.Auth):  # type: ignore[misc]
        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            request.headers["X-Wrapped"] = "yes"
            yield from auth.auth_flow(request)

    with library.Client(auth=Wrapper()) as client:
        assert client.get(f"{server.url}/status/200").status_code == 200
        server.revoke_tokens()
        assert client.get(f"{server.url}/status/200").status_code == 200

    async def main() -> None:
        async with library.AsyncClient(auth=Wrapper()) as client:
            await client.get(f"{server.url}/status/200")

    with pytest.raises(RuntimeError, match="async_auth_flow"):  # it would block the event loop
        asyncio.run(main())


def test_the_auth_object_of_another_library_says_what_to_import(server: MediaHoundServer) -> None:
    modules = {
        requests: mediahound_auth.requests,
        httpx: mediahound_auth.httpx,
        httpx2: mediahound_auth.httpx2,
    }
    for used, wanted in modules.items():
        for module in {*modules.values()} - {wanted}:
            auth = module.MediaHoundAuth(**server.credentials)
            with pytest.raises(TypeError, match=f"import it from {wanted.__name__}$"):
                used.get(f"{server.url}/status/200", auth=auth, timeout=5)
    assert server.api_requests == []


def test_an_unsupported_library_is_named_in_the_error(server: MediaHoundServer) -> None:
    with pytest.raises(TypeError, match=r"httpx\.MediaHoundAuth is not for builtins$"):
        mediahound_auth.httpx.MediaHoundAuth(**server.credentials)("a request")


class OtherRequest:
    """A request of niquests, in so far as an auth object knows it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.headers: dict[str, str] = {}
        self.hooks: dict[str, list[Any]] = {"response": []}


def test_requests_of_niquests_get_a_token_but_not_in_an_event_loop(
    server: MediaHoundServer,
) -> None:
    auth: Any = mediahound_auth.requests.MediaHoundAuth(**server.credentials)

    async def main() -> None:
        auth(OtherRequest(f"{server.url}/status/200"))

    with pytest.raises(TypeError, match="would block the event loop"):
        asyncio.run(main())
    assert server.token_requests == []
    request = auth(OtherRequest(f"{server.url}/status/200"))
    assert request.headers["Authorization"] == auth.token().authorization
    rejected = requests.Response()
    rejected.status_code, rejected.request = 401, request

    async def after_a_401() -> None:
        [hook] = request.hooks["response"]
        hook(rejected)

    with pytest.raises(TypeError, match="would block the event loop"):
        asyncio.run(after_a_401())


class Elsewhere(requests.adapters.BaseAdapter):
    """An adapter that is no HTTPAdapter."""

    def send(self, request: Any, *_: Any, **settings: Any) -> requests.Response:
        with requests.Session() as session:
            return session.send(request, **settings)

    def close(self) -> None: ...


class OtherPools(requests.adapters.HTTPAdapter):
    """An adapter whose pools are of another urllib3."""

    pool: Any = None

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        self.pool = super().get_connection_with_tls_context(*args, **kwargs)
        if not isinstance(self.pool.pool, queue.SimpleQueue):
            self.pool.pool = queue.SimpleQueue()
        return self.pool

    def close(self) -> None:
        self.pool.close()  # urllib3 closes the queue that the pool was made with
        super().close()

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        return self.get_connection_with_tls_context(*args, **kwargs)


@pytest.mark.parametrize("adapter", [Elsewhere, OtherPools])
def test_an_adapter_of_another_kind_is_used_as_it_is(
    adapter: Any, server: MediaHoundServer
) -> None:
    with requests.Session() as session:
        session.mount("http://", adapter())
        auth = mediahound_auth.requests.MediaHoundAuth(**server.credentials, session=session)
        assert auth.token()


@pytest.mark.parametrize("body", [b"", b"cut short"])
def test_a_401_that_ends_too_early_is_retried(body: bytes, server: MediaHoundServer) -> None:
    auth = mediahound_auth.requests.MediaHoundAuth(**server.credentials)
    auth.token()
    server.revoke_tokens()

    class ThatCutsShort(requests.adapters.HTTPAdapter):
        def send(self, *args: Any, **settings: Any) -> requests.Response:
            response = super().send(*args, **settings)
            if response.status_code == 401:
                response.raw.read1 = lambda *_, **__: body if not body else reads.pop()
            return response

    reads = [b"", body]
    with requests.Session() as session:
        session.mount("http://", ThatCutsShort())
        session.auth = auth
        response = session.get(f"{server.url}/status/200", timeout=20)
    assert response.status_code == 200
    assert [past.content for past in response.history] == [body]


@pytest.mark.parametrize("library", SYNC, indirect=True)
def test_an_endpoint_that_is_down_is_also_a_connection_error(library: Library) -> None:
    base = "ConnectionError" if library.is_requests else "TransportError"
    auth = library.MediaHoundAuth(
        "one that waits", "s3cr3t", token_url="http://127.0.0.1:9/token", timeout=0.5
    )
    with pytest.raises(getattr(library.module, base)) as caught:
        library.get("http://127.0.0.1:9/echo", auth=auth)
    assert isinstance(caught.value, TokenEndpointUnavailable)


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(
    ("scheme", "host", "gets_it"),
    [
        ("wss", "api.example.com", True),
        ("wss", "api.example.com:443", True),
        ("ws", "127.0.0.1:8123", True),
        ("ws", "api.example.com", False),
        ("wss", "example.com", False),
    ],
)
def test_a_web_socket_of_an_allowed_origin_gets_the_token(
    library: Any, scheme: str, host: str, gets_it: bool, server: MediaHoundServer
) -> None:
    auth = getattr(mediahound_auth, library.__name__).MediaHoundAuth(
        **server.credentials, origins=["https://api.example.com", "http://127.0.0.1:8123"]
    )
    seen = []

    def upgrade(request: Any) -> Any:
        seen.append(request.headers.get("Authorization"))
        return library.Response(101)

    with library.Client(transport=library.MockTransport(upgrade), auth=auth) as client:
        client.get(f"{scheme}://{host}/events")
    assert seen == [auth.token().authorization if gets_it else None]


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_an_asgi_app_in_the_same_process_gets_the_token(
    library: Any, server: MediaHoundServer
) -> None:
    rejected: list[bytes] = []
    seen: list[bytes] = []

    async def app(scope: Any, _: Any, send: Any) -> None:
        authorization = dict(scope["headers"])[b"authorization"]
        seen.append(authorization)
        status = 401 if authorization in rejected else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % status})

    auth = getattr(mediahound_auth, library.__name__).MediaHoundAuth(
        **server.credentials, origins=["https://app.example"]
    )

    async def main() -> list[int]:
        transport = library.ASGITransport(app=app)
        async with library.AsyncClient(transport=transport, auth=auth) as client:
            first = await client.get("https://app.example/")
            rejected.append(seen[0])
            server.revoke_tokens()
            return [first.status_code, (await client.get("https://app.example/")).status_code]

    assert asyncio.run(main()) == [200, 200]
    assert seen[2:] == [auth.token().authorization.encode()]
    assert len(server.token_requests) == 2


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_renewals_share_a_tls_context_as_long_as_its_files_are_the_same(
    library: Any,
    server: MediaHoundServer,
    ca_file: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "ca.pem"  # that no other test has used
    bundle.write_bytes(Path(ca_file).read_bytes())
    made: list[int] = []
    create = library.create_ssl_context

    def counted() -> Any:
        made.append(1)
        return create()

    monkeypatch.setattr(library, "create_ssl_context", counted)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    auth = getattr(mediahound_auth, library.__name__).MediaHoundAuth(**server.credentials)
    assert made == [1]  # not while an event loop waits
    auth.token()
    auth.renew()
    assert made == [1]
    monkeypatch.setenv("SSL_CERT_FILE", f"{bundle}.gone")
    mediahound_auth.httpx.MediaHoundAuth(**server.credentials)
    with suppress(library.RequestError):  # not of an old httpx, which takes its own CA bundle then
        auth.renew()
    assert len(made) > 1


def test_a_subclass_whose_auth_flow_would_not_be_called_is_an_error() -> None:
    def auth_flow(_: object, request: object) -> Iterator[object]:
        yield request

    class Mixin:
        pass

    Mixin.auth_flow = auth_flow  # type: ignore[attr-defined]
    for bases in [
        (mediahound_auth.httpx.MediaHoundAuth,),
        (Mixin, mediahound_auth.httpx2.MediaHoundAuth),
    ]:
        with pytest.raises(TypeError, match="override sync_auth_flow and async_auth_flow"):
            type("Signing", bases, {"auth_flow": auth_flow} if len(bases) == 1 else {})
    both = {"sync_auth_flow": auth_flow, "auth_flow": auth_flow}
    assert type("Signing", (mediahound_auth.httpx.MediaHoundAuth,), both)
