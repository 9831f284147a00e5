"""Tracebacks, as tools print them, contain nothing private."""

from __future__ import annotations

import asyncio
import base64
import http.client
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
import requests
from cryptography.fernet import Fernet
from hostile import FAULTS, HostileNetwork
from tools import chain, where_shown

import mediahound_auth.httpx
import mediahound_auth.requests
from mediahound_auth import MediaHoundAuthError, MemoryStore, Token
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth._core.masked import Masked
from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.stores import FileStore, RedisStore
from mediahound_auth.testing import MediaHoundServer

# Longer than what tools print of a str.
SECRET = "s3cr3t/+&=x" + "-y" * 100
# No test holds anything private in a variable, apart from `self`: tools would be right to show it.

API_ERRORS = (requests.RequestException, httpx.HTTPError, httpx.InvalidURL)


class Program:
    """Calls an API behind a network that breaks, with one of the libraries."""

    def __init__(self, library: str, server: MediaHoundServer, **options: Any) -> None:
        self.library = library
        self.server = server
        adapter: Any = mediahound_auth.requests if library == "requests" else mediahound_auth.httpx
        self.auth = adapter.MediaHoundAuth(**{**server.credentials, "timeout": 5.0, **options})

    def get(self, url: str) -> object:
        if self.library == "requests":
            with requests.Session() as session:
                session.max_redirects = 2
                return session.get(url, auth=self.auth, timeout=0.5)
        options: Any = {"follow_redirects": True, "max_redirects": 2, "timeout": 0.5}
        if self.library == "httpx":
            with httpx.Client(auth=self.auth, **options) as client:
                return client.get(url)

        async def get() -> object:
            async with httpx.AsyncClient(auth=self.auth, **options) as client:
                return await client.get(url)

        return asyncio.run(get())

    def error(self, url: str, kinds: Any = API_ERRORS) -> BaseException:
        with pytest.raises(kinds) as caught:
            self.get(url)
        error: BaseException = caught.value
        return error

    def private(self) -> Sequence[str]:
        tokens = [call.headers["Authorization"] or "" for call in self.server.api_requests]
        known = source_of(self.auth).shared.recorded.token
        return [
            *(Masked(value.removeprefix("Bearer ")) for value in tokens if "Bearer" in value),
            *([known.access_token] if known else []),
            *forms_of(self.server.client_id, SECRET),
        ]


def forms_of(client_id: str, secret: str) -> Sequence[str]:
    """How a secret looks in messages, and its first characters, should it be cut short.

    Masked, since tools show the frame of the test, too.
    """
    basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    form = base64.b64encode(f"{quote(client_id)}:{quote(secret, safe='')}".encode()).decode()
    whole = [secret, quote(secret, safe=""), quote_plus(secret), basic, form]
    return [Masked(each[:10]) for each in whole[:3]] + [Masked(each[-40:]) for each in whole]


@pytest.fixture(params=["requests", "httpx", "async httpx"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(client_id: str) -> Iterator[MediaHoundServer]:
    with MediaHoundServer(
        client_id=client_id, client_secret=SECRET, return_same_token=False
    ) as server:
        yield server


@pytest.fixture
def network(server: MediaHoundServer) -> Iterator[HostileNetwork]:
    with HostileNetwork(server.url) as network:
        yield network


# The API call fails

BREAKING = [
    "reset during the answer",
    "closed without an answer",
    "closed in the middle",
    "stops before the answer",
    "stops in the middle",
    "garbage",
    "endless headers",
]
assert set(BREAKING) <= set(FAULTS)


@pytest.mark.parametrize("fault", BREAKING)
def test_a_call_that_breaks_shows_nothing_private(
    fault: str, library: str, server: MediaHoundServer, network: HostileNetwork
) -> None:
    program = Program(library, server, origins=[network.url])
    program.auth.token()
    network.plan(fault)
    error = program.error(f"{network.url}/echo")
    assert where_shown(error, program.private()) == []


def test_a_call_that_is_rejected_shows_nothing_private_but_in_http_client_s_bytes(
    library: str, server: MediaHoundServer, network: HostileNetwork
) -> None:
    program = Program(library, server, origins=[network.url])
    program.auth.token()
    network.break_down("refused")
    error = program.error(f"{network.url}/echo")
    for link in chain(error):
        link.__traceback__ = without_http_client(link.__traceback__)
    assert where_shown(error, program.private()) == []


def without_http_client(trace: TracebackType | None) -> TracebackType | None:
    if trace is None:
        return None
    following = without_http_client(trace.tb_next)
    if trace.tb_frame.f_code.co_filename == http.client.__file__:
        return following
    return TracebackType(following, trace.tb_frame, trace.tb_lasti, trace.tb_lineno)


def test_a_call_that_is_redirected_without_end_shows_nothing_private(
    library: str, server: MediaHoundServer
) -> None:
    program = Program(library, server)
    path = "/echo"
    for _ in range(4):
        path = f"/redirect?to={quote(path, safe='')}"
    error = program.error(f"{server.url}{path}")
    assert where_shown(error, program.private()) == []


def test_a_retry_that_breaks_shows_neither_token(
    library: str, server: MediaHoundServer, network: HostileNetwork
) -> None:
    program = Program(library, server, origins=[network.url])
    program.get(f"{network.url}/echo")
    server.revoke_tokens()
    network.plan("", "closed without an answer")
    error = program.error(f"{network.url}/echo")
    assert len({call.headers["Authorization"] for call in server.api_requests}) == 2
    assert where_shown(error, program.private()) == []


def test_a_call_whose_status_is_raised_shows_nothing_private(server: MediaHoundServer) -> None:
    program = Program("requests", server)
    response: Any = program.get(f"{server.url}/status/503")
    with pytest.raises(requests.HTTPError) as caught:
        response.raise_for_status()
    assert where_shown(caught.value, program.private()) == []


# The token request fails


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 401, "body": {"error": "invalid_client"}},
        {"status": 400, "body": {"error": "invalid_scope"}},
        {"status": 503, "headers": {"Retry-After": "900"}},
        {"status": 200, "body": "no token"},
        {"status": 302, "headers": {"Location": "/elsewhere"}},
    ],
    ids=["refused", "OAuth error", "unavailable", "garbage", "redirect"],
)
@pytest.mark.parametrize("client_auth", ["mediahound", "client_secret_basic"])
def test_a_token_request_that_is_rejected_shows_nothing_private(
    client_auth: str, answer: dict[str, Any], library: str, server: MediaHoundServer
) -> None:
    program = Program(library, server, client_auth=client_auth)
    server.respond_to_token_requests(2, **answer)
    error = program.error(f"{server.url}/echo", MediaHoundAuthError)
    assert where_shown(error, program.private()) == []
    error = program.error(f"{server.url}/echo", MediaHoundAuthError)  # the remembered failure
    assert where_shown(error, program.private()) == []


# Values of parameters, and assertions, are as private as the secret.
ALSO_PRIVATE: dict[str, Callable[[], dict[str, Any]]] = {
    "parameters": lambda: {"client_secret": "x", "parameters": {"child": SECRET, "more": [SECRET]}},
    "assertion": lambda: {"client_secret": lambda: SECRET, "client_auth": "client_assertion"},
}


@pytest.mark.parametrize("what", ALSO_PRIVATE)
def test_parameters_and_assertions_are_not_shown_either(
    what: str, library: str, server: MediaHoundServer, network: HostileNetwork
) -> None:
    program = Program(library, server, **ALSO_PRIVATE[what]())
    answer = {"error": "invalid_request", "error_description": f"this is {quote(SECRET)}"}
    server.respond_to_token_requests(1, status=400, body=answer)
    error = program.error(f"{server.url}/echo", MediaHoundAuthError)
    assert where_shown(error, program.private()) == []
    token_url = server.token_url.replace(server.url, network.url)
    program = Program(library, server, token_url=token_url, timeout=1.0, **ALSO_PRIVATE[what]())
    network.break_down("closed without an answer")
    error = program.error(f"{network.url}/echo", MediaHoundAuthError)
    assert where_shown(error, program.private()) == []


@pytest.mark.parametrize("library", ["requests", "httpx"])
@pytest.mark.parametrize("what", ALSO_PRIVATE)
def test_a_transport_with_bugs_does_not_show_them_either(
    what: str, library: str, server: MediaHoundServer
) -> None:
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        session.mount("http://", Broken(fails_with_all_it_knows))
        client = stack.enter_context(httpx.Client(transport=Broken(fails_with_all_it_knows)))
        transport = {"session": session} if library == "requests" else {"client": client}
        program = Program(library, server, **transport, **ALSO_PRIVATE[what]())
        error = program.error(f"{server.url}/echo", MediaHoundAuthError)
    assert where_shown(error, program.private()) == []


@pytest.mark.parametrize(
    "fault", ["closed without an answer", "stops before the answer", "refused"]
)
def test_a_token_request_that_breaks_shows_nothing_private(
    fault: str, library: str, server: MediaHoundServer, network: HostileNetwork
) -> None:
    token_url = server.token_url.replace(server.url, network.url)
    program = Program(library, server, token_url=token_url, timeout=1.0)
    network.break_down(fault)
    error = program.error(f"{network.url}/echo", MediaHoundAuthError)
    assert where_shown(error, program.private()) == []


def test_a_renewal_that_fails_does_not_show_the_token_that_has_expired(
    library: str, server: MediaHoundServer
) -> None:
    program = Program(library, server)
    program.get(f"{server.url}/echo")
    shared = source_of(program.auth).shared
    state = shared.state
    program.auth.forget()
    shared.state = state._replace(renew_at=0.0, token=state.token and expired(state.token))
    server.respond_to_token_requests(5, status=400, body={"error": "invalid_scope"})
    for _ in range(2):  # the second is told the remembered failure
        error = program.error(f"{server.url}/echo", MediaHoundAuthError)
        assert where_shown(error, program.private()) == []


def expired(token: Token) -> Token:
    return Token(token.access_token, 2.0, 1.0)


@pytest.mark.parametrize("host", ["proxy..corp", "x" * 64 + ".corp"])
def test_an_invalid_proxy_name_shows_nothing_private(
    host: str, library: str, server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(variable, f"http://{host}:3128")
    for token_url in (server.token_url, "https://api.example.com/token"):
        program = Program(library, server, token_url=token_url, timeout=2.0)
        error = program.error(token_url, MediaHoundAuthError)
        assert where_shown(error, program.private()) == []


class Broken(requests.adapters.BaseAdapter, httpx.BaseTransport):
    """Fails while it holds all that was to be sent, as an application's own transport may."""

    def __init__(self, fail: Callable[..., object]) -> None:
        self._fail = fail

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        self._fail(dict(request.headers), request.body)
        raise AssertionError

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._fail(request.headers.multi_items(), request.read())
        raise AssertionError

    def close(self) -> None:
        pass


def fails(headers: object, body: object) -> None:
    raise LookupError(f"a bug with {len(str(headers))} and {len(str(body))} characters")


def fails_while_it_handles(headers: object, body: object) -> None:
    try:
        fails(headers, body)
    except LookupError as error:
        raise KeyError("another bug") from error


def fails_as_a_group(headers: object, body: object) -> None:
    try:
        fails(headers, body)
    except LookupError as error:
        raise ExceptionGroup("several bugs", [error]) from None


class NeedsTwo(Exception):
    """Cannot be made of its text alone."""

    def __init__(self, headers: object, body: object) -> None:
        super().__init__("two")
        self.headers, self.body = headers, body


def fails_with_all_it_knows(headers: object, body: object) -> None:
    raise NeedsTwo(headers, body)


@pytest.mark.parametrize(
    "fail", [fails, fails_while_it_handles, fails_as_a_group, fails_with_all_it_knows]
)
@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_a_transport_with_bugs_shows_nothing_private_and_where_the_bug_is(
    library: str, fail: Callable[..., object], server: MediaHoundServer
) -> None:
    with ExitStack() as stack:
        session = stack.enter_context(requests.Session())
        session.mount("http://", Broken(fail))
        client = stack.enter_context(httpx.Client(transport=Broken(fail)))
        transport = {"session": session} if library == "requests" else {"client": client}
        program = Program(library, server, **transport)
        error = program.error(f"{server.url}/echo", MediaHoundAuthError)
    assert where_shown(error, program.private()) == []
    assert "self._fail(" in "".join(getattr(error, "__notes__", []))


# Options that are wrong


@pytest.mark.parametrize("adapter", [mediahound_auth.requests, mediahound_auth.httpx])
@pytest.mark.parametrize(
    "options",
    [
        {"token_url": "http://api.example.com"},
        {"token_url": "https://api..example.com/token"},
        {"token_url": f"https://{'x' * 64}.example.com/token"},
        {"origins": ["https://.example.com"]},
        {"timeout": -1},
        {"client_auth": "magic"},
        {"scope": 7},
    ],
    ids=str,
)
def test_a_wrong_option_shows_nothing_private(adapter: Any, options: dict[str, Any]) -> None:
    with pytest.raises(mediahound_auth.ConfigurationError) as caught:
        adapter.MediaHoundAuth("id", SECRET, **options)
    assert where_shown(caught.value, forms_of("id", SECRET)) == []


@pytest.mark.parametrize("adapter", [mediahound_auth.requests, mediahound_auth.httpx])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: {"child": text, "other": 7},
        lambda text: {"child": [text, 7]},
        lambda text: {"child": text + "\ud800"},
        lambda text: {"child": text.encode()},
        lambda text: {"child": {"secret": text}},
        lambda text: {"client_secret": text},
        lambda text: [text],
        lambda text: text,
    ],
    ids=["another", "list", "surrogate", "bytes", "dict", "reserved", "no mapping", "str"],
)
def test_parameters_of_the_wrong_kind_are_not_shown(
    adapter: Any, wrap: Callable[[str], Any]
) -> None:
    with pytest.raises(mediahound_auth.ConfigurationError) as caught:
        adapter.MediaHoundAuth("id", "secret", parameters=wrap(SECRET))
    assert where_shown(caught.value, forms_of("id", SECRET)) == []


@pytest.mark.parametrize("wrong", [{"timeout": -1}, {"session": 7}])
def test_a_secret_of_the_environment_is_not_shown(
    wrong: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIAHOUND_CLIENT_SECRET", SECRET)
    with pytest.raises(mediahound_auth.ConfigurationError) as caught:
        mediahound_auth.requests.MediaHoundAuth("id", **wrong)
    assert where_shown(caught.value, forms_of("id", SECRET)) == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text + "\ud800",
        lambda text: text.encode(),
        lambda text: [text],
        lambda text: {"secret": text},
    ],
    ids=["surrogate", "bytes", "list", "dict"],
)
def test_a_secret_of_the_wrong_kind_is_not_shown(wrap: Callable[[str], Any]) -> None:
    with pytest.raises(mediahound_auth.ConfigurationError) as caught:
        mediahound_auth.requests.MediaHoundAuth("id", wrap(SECRET))
    assert where_shown(caught.value, forms_of("id", SECRET)) == []


# MediaHoundSession


def test_a_token_updater_that_raises_shows_no_token(server: MediaHoundServer) -> None:
    def updater(token: dict[str, object]) -> None:
        raise LookupError(f"a bug with {len(token)} fields")

    session = MediaHoundSession(**server.credentials, token_updater=updater)
    for provoke in (session.fetch_token, lambda: session.get(f"{server.url}/echo")):
        with pytest.raises(LookupError) as caught:
            provoke()
        assert (
            where_shown(caught.value, [Masked(str(session.access_token)), *forms_of("", SECRET)])
            == []
        )


TOKENS: dict[str, Any] = {
    "no expiry": {"access_token": SECRET, "expires_in": "soon"},
    "a space": {"access_token": f"{SECRET} {SECRET}", "expires_in": 60},
    "bytes": {"access_token": SECRET.encode(), "expires_in": 60},
    "a list": [SECRET],
    "a str": SECRET,
    "a dict in a dict": {"access_token": {"value": SECRET}},
}


@pytest.mark.parametrize("kind", TOKENS)
def test_an_invalid_token_is_not_shown(kind: str, server: MediaHoundServer) -> None:
    session = MediaHoundSession(**server.credentials)

    def set_token() -> None:
        session.token = TOKENS[kind]

    def set_access_token() -> None:
        session.access_token = TOKENS["a space"]["access_token"]

    def construct() -> None:
        MediaHoundSession(**server.credentials, token=TOKENS[kind])

    for provoke in (set_token, set_access_token, construct):
        with pytest.raises(mediahound_auth.ConfigurationError) as caught:
            provoke()
        assert where_shown(caught.value, forms_of("", SECRET)) == []


# Stores

KEY = Fernet.generate_key()


@pytest.mark.parametrize("make", [FileStore, partial(RedisStore, "redis://h")])
@pytest.mark.parametrize("kind", [bytes, str, bytearray], ids=["bytes", "str", "bytearray"])
def test_one_mistyped_key_among_several_shows_none(make: Any, kind: Any) -> None:
    class Keys:
        """As they are: no test holds them in a variable."""

        good = kind(KEY) if kind is not str else KEY.decode()
        bad = good[:-3]

    given: list[Callable[[], Any]] = [
        lambda: [Keys.good, Keys.bad],
        lambda: (Keys.bad, Keys.good),
        lambda: Keys.bad,
        lambda: {"key": Keys.good},
    ]
    for keys in given:
        with pytest.raises(mediahound_auth.ConfigurationError) as caught:
            make(encryption_key=keys())
        assert where_shown(caught.value, [Masked(KEY.decode()[:30])]) == []


PASSWORD = "passw0rd-of-redis" * 6
URLS = [
    f"redis://user:{PASSWORD}@127.0.0.1:port/0",
    f"http://user:{PASSWORD}@127.0.0.1/0",
    f"redis://127.0.0.1/?password={PASSWORD}&socket_timeout=long",
]


@pytest.mark.parametrize("number", range(len(URLS)))
def test_a_wrong_redis_url_shows_no_password(number: int) -> None:
    with pytest.raises(mediahound_auth.ConfigurationError) as caught:
        RedisStore(URLS[number])
    assert where_shown(caught.value, [Masked(PASSWORD[:17])]) == []
    with pytest.raises(mediahound_auth.ConfigurationError) as caught:
        RedisStore(f"redis://:{PASSWORD}@h", lock_timeout=-1)
    assert where_shown(caught.value, [Masked(PASSWORD[:17])]) == []


@pytest.mark.parametrize("password", [PASSWORD, PASSWORD + "%2F"], ids=["plain", "encoded"])
def test_a_redis_that_rejects_the_password_does_not_show_it(
    password: str, redis_server: Any
) -> None:
    store = RedisStore(f"redis://user:{password}@127.0.0.1:{redis_server.port}/0")
    del password
    with pytest.raises(Exception, match=r"(?i)password") as caught:
        store.load("key")
    assert where_shown(caught.value, [Masked(PASSWORD[:17])]) == []


def test_a_store_that_cannot_save_shows_no_token(tmp_path: Any) -> None:
    (tmp_path / "file").touch()
    store = FileStore(tmp_path / "file")
    now = time.time()
    with pytest.raises(OSError, match="file") as caught:
        store.save("key", Token(SECRET.replace("é", ""), now + 60, now))
    assert where_shown(caught.value, forms_of("", SECRET)) == []


@pytest.mark.parametrize("kind", [FileStore, RedisStore, MemoryStore])
def test_a_store_has_a_repr_before_its_constructor_ends(kind: Any) -> None:
    assert kind.__name__ in repr(kind.__new__(kind))
