"""The authentication flow of httpx and httpx2.

The synchronous and the asynchronous flow are written out instead of derived from `auth_flow`, so
that a call with a valid token costs one generator, not two. No lock is held while a request is
sent. The asynchronous flow never blocks.
"""

from __future__ import annotations

import copy
import os
import ssl
import sys
from collections.abc import (
    AsyncGenerator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from traceback import walk_tb
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

import anyio.lowlevel  # imported here, so that the import does not block an event loop
from anyio import to_thread

from mediahound_auth import errors
from mediahound_auth._adapters.bearer_auth import REDACTED, BearerAuth, wrong_library
from mediahound_auth._adapters.token_transport import (
    USER_AGENT,
    BoundedBackend,
    ResponseBounds,
    body_length,
    callers_exception,
    decompressed,
    read_bounded,
    response_error,
    with_values,
)
from mediahound_auth._core import runtime
from mediahound_auth._core.grant import ClientAuth, TokenRequest, TokenResponse
from mediahound_auth._core.lifecycle import PATIENCE_FOR_401
from mediahound_auth._core.masked import Masked, masked
from mediahound_auth._core.origins import DEFAULT_PORTS, Origin
from mediahound_auth._core.renewal import Steps, run_steps, run_steps_async
from mediahound_auth._core.settings import Settings
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = ["BearerFlow"]


# A WebSocket begins with an HTTP request (RFC 6455 §4.1).
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}

# The types of httpx or httpx2. `Client` is the synchronous one, which sends the token requests.
Client = TypeVar("Client", bound=Any)
Request = TypeVar("Request", bound=Any)
Response = TypeVar("Response", bound=Any)


class BearerFlow(BearerAuth, Generic[Client, Request, Response]):
    """Attach the token, and retry a request once if its token is rejected."""

    _request_attribute = "_request"
    # httpx or httpx2.
    _library: ClassVar[Any]

    def __init__(
        self,
        client_id: str | None = None,
        client_secret: str | Callable[[], str] | None = None,
        *,
        token_url: str | None = None,
        scope: str | Iterable[str] | None = None,
        parameters: Mapping[str, str | Sequence[str]] | None = None,
        client_auth: ClientAuth = "mediahound",
        origins: Iterable[str] = (),
        store: Store | None = None,
        renew_margin: float = 300.0,
        timeout: float = 30.0,
        client: Client | None = None,
    ) -> None:
        """Check the options. Nothing is sent yet.

        Args:
            client_id: The OAuth client ID. Defaults to MEDIAHOUND_CLIENT_ID.
            client_secret: The client secret. Defaults to MEDIAHOUND_CLIENT_SECRET. A callable is
                called once per renewal and by `forget()`, for secrets that are rotated.
            token_url: The token endpoint, https (or http on loopback). Defaults to
                MEDIAHOUND_TOKEN_URL, then to MediaHound's.
            scope: The scopes to request, as one str separated by spaces or as an iterable of str.
                Defaults to the scopes of the application.
            parameters: Further form fields of the token request, such as {"audience": "…"}. A list
                sends its field more than once. A "grant_type" replaces "client_credentials".
            client_auth: The client authentication method. Defaults to "mediahound": header and
                body, as MediaHound documents. Others: "client_secret_basic" and
                "client_secret_post" (RFC 6749 §2.3.1), and "client_assertion" (RFC 7523 §2.2), for
                which `client_secret` is a callable that returns a new JWT for each token request.
            origins: Further origins the token may be sent to, as "https://host[:port]". The origin
                of the token endpoint is always allowed. Defaults to none.
            store: Where the token is kept between calls. Defaults to the memory of the process.
            renew_margin: Seconds before the expiry at which the background renewal begins, at most
                a fifth of the lifetime. Defaults to 300.
            timeout: Seconds to get one token, retries included. Defaults to 30.
            client: A synchronous Client whose proxies, CA bundle, client certificate and transports
                are used for token requests, also with an AsyncClient. Nothing else of it is used.
                It is used from another thread. Defaults to the settings of the environment.

        Raises:
            ConfigurationError: An option is missing or wrong.
        """
        # Tools print variables.
        client_secret, parameters = masked(client_secret), masked(parameters)
        if client is not None and not isinstance(client, self._library.Client):
            wanted = f"{self._library.__name__}.Client"
            error = f"client must be an {wanted}, not {type(client).__name__}"
            raise self._error_types[errors.ConfigurationError](error)
        super().__init__(
            client,
            client_id=client_id,
            client_secret=client_secret,
            token_url=token_url,
            scope=scope,
            parameters=parameters,
            client_auth=client_auth,
            origins=origins,
            store=store,
            renew_margin=renew_margin,
            timeout=timeout,
        )

    def _start(self, settings: Settings) -> None:
        super()._start(settings)
        if self._transport is None:
            # Not at the first request, where it would block the event loop for 25 ms.
            with suppress(OSError):  # the CA bundle of the environment: the first request raises it
                _tls_context(self._library)
        # The type of a body that can be sent any number of times.
        self._bytes_stream = self._library.ByteStream
        # The allowed origins in the form of httpx's URLs. `_allows` checks all others.
        self._targets = frozenset(
            (scheme, host, None if DEFAULT_PORTS[scheme] == port else port)
            for scheme, host, port in settings.origins
        )

    async def atoken(self) -> Token:
        """Do what `token()` does, in a task on asyncio or trio.

        Raises:
            MediaHoundAuthError: No token could be requested. It is also an exception of the HTTP
                library.
        """
        return self._token_of(await run_steps_async(self._source.get_token()))

    async def arenew(self) -> Token:
        """Do what `renew()` does, in a task on asyncio or trio.

        Raises:
            MediaHoundAuthError: The request failed. The current token stays in use.
        """
        return self._token_of(await run_steps_async(self._source.renew()))

    async def aforget(self) -> None:
        """Do what `forget()` does, in a task on asyncio or trio.

        Raises:
            ConfigurationError: The client_secret callable failed. It is also an exception of the
                HTTP library.
        """
        try:
            await to_thread.run_sync(self.forget)
        except RuntimeError:  # no thread can be started
            self.forget()

    def __init_subclass__(cls, **options: Any) -> None:
        """Raise TypeError for an `auth_flow` that httpx would not call."""
        super().__init_subclass__(**options)
        of_class = cls.auth_flow is not BearerFlow.auth_flow
        if of_class and cls.sync_auth_flow is BearerFlow.sync_auth_flow:
            raise TypeError(
                f"{cls.__name__} overrides auth_flow, which httpx does not call here; override "
                "sync_auth_flow and async_auth_flow"
            )

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Return `sync_auth_flow(request)`, for auth objects that wrap this one.

        Raises:
            RuntimeError: An event loop is running, which it would block.
        """
        try:
            anyio.lowlevel.current_token()
        except RuntimeError:  # there is no event loop
            return self.sync_auth_flow(request)
        raise RuntimeError("in async code, call async_auth_flow instead of auth_flow")

    def __call__(self, request: object) -> NoReturn:
        """Raise TypeError: httpx does not call its auth objects, other HTTP libraries do."""
        raise wrong_library(self, request)

    def sync_auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """Attach the token, and retry once after a 401. A synchronous client calls this."""
        url = request.url
        if (url.scheme, url.host, url.port) not in self._targets and not self._allows(url):
            yield request
            return
        renew_at, authorization, unconfirmed = self._shared.fast_path
        if runtime.now() >= renew_at:
            authorization = ""  # no old token is in a frame that may raise
            outcome = run_steps(self._source.get_token())
            authorization = self._token_of(outcome, request).authorization
        request.headers["Authorization"] = authorization
        start = None if type(request.stream) is self._bytes_stream else _position(request)
        try:
            response = yield request
        except GeneratorExit:
            response = None
        if response is None:  # and no longer inside the handler
            self._on_unseen_response(request)
            return
        if response.status_code != 401:
            if unconfirmed or response.history:
                self._on_response(response)
            return
        if retry := run_steps(self._prepare_retry(response, start)):
            self._release(response)
            response = yield retry
            self._on_response(response, retried=True)

    async def async_auth_flow(self, request: Request) -> AsyncGenerator[Request, Response]:
        """Attach the token, and retry once after a 401. An asynchronous client calls this."""
        url = request.url
        if (url.scheme, url.host, url.port) not in self._targets and not self._allows(url):
            yield request
            return
        renew_at, authorization, unconfirmed = self._shared.fast_path
        if runtime.now() >= renew_at:
            authorization = ""  # no old token is in a frame that may raise
            outcome = await run_steps_async(self._source.get_token())
            authorization = self._token_of(outcome, request).authorization
        request.headers["Authorization"] = authorization
        start = None if type(request.stream) is self._bytes_stream else _position(request)
        try:
            response = yield request
        except GeneratorExit:
            response = None
        if response is None:  # and no longer inside the handler
            self._on_unseen_response(request)
            return
        if response.status_code != 401:
            if unconfirmed or response.history:
                self._on_response(response)
            return
        if retry := await run_steps_async(self._prepare_retry(response, start)):
            await self._release_async(response)
            response = yield retry
            self._on_response(response, retried=True)

    def _send(self, request: TokenRequest, timeout: float) -> TokenResponse:
        if self._transport is not None:
            return self._send_with(self._transport, request, timeout)
        with self._library.Client(verify=_tls_context(self._library)) as client:
            return self._send_with(client, request, timeout)

    def _send_with(self, client: Any, request: TokenRequest, timeout: float) -> TokenResponse:
        """Send a token request with the client's transport, and with nothing else of the client.

        So it has no cookies, headers, event hooks or default auth of the client, and follows no
        redirect. httpx has no public name for a client's transports.
        """
        if client.is_closed:
            raise RuntimeError(
                "the client given as client= has been closed; keep it open while auth is used"
            )
        transport_for_url = getattr(client, "_transport_for_url", None)
        if transport_for_url is None:
            raise RuntimeError(
                f"this version of {self._library.__name__} has no Client._transport_for_url, which "
                "token requests need; install a version that mediahound-auth supports"
            )
        sent = self._library.Request(
            "POST",
            request.url,
            headers={**request.headers, "User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            content=request.body,
            extensions={"timeout": self._library.Timeout(timeout).as_dict()},
        )
        bounds = ResponseBounds(timeout)
        try:
            with _bounded(transport_for_url(sent.url), bounds) as transport:
                response = transport.handle_request(sent)
                response.request = sent
                with closing(response):
                    # Raw, because httpx decompresses without a limit. Some transports return a
                    # response that has been read.
                    read = response.is_stream_consumed
                    chunks = [response.content] if read else response.iter_raw()
                    body = decompressed(read_bounded(chunks, bounds.until), response.headers)
                    return TokenResponse(response.status_code, response.headers, body)
        except (self._library.RequestError, OSError, UnicodeError) as error:
            raise response_error(request.url, error, bounds)  # noqa: B904  # it has its own cause

    def _allows(self, url: Any) -> bool:
        scheme = _HTTP_SCHEMES.get(url.scheme, url.scheme)
        host, port = url.raw_host.decode("ascii"), url.port
        if scheme not in DEFAULT_PORTS or not host or port == 0:  # as in origin_of
            return False  # the library raises an error for it
        port = DEFAULT_PORTS[scheme] if port is None else port
        return self._source.allows(Origin(scheme, host, port))

    def _prepare_retry(self, response: Any, start: int | None) -> Steps[Request | None]:
        """Return the request of this 401 with another token; None if it is not retried.

        After redirects, it is the last request. A redirect may have removed the token.
        """
        _redact_history(response)
        request = response.request
        rejected = _access_token_of(request)
        if not rejected or not self._allows(request.url):
            return None
        token = yield from self._source.get_replacement(rejected)
        if token is None or not _rewind(request, start):
            return None
        response.request = _redacted(request)
        request.headers["Authorization"] = token.authorization
        if response.cookies:
            response.cookies.set_cookie_header(request)  # as DigestAuth does
        retry: Request = request
        return retry

    def _release(self, response: Response) -> None:
        """Return the connection of a 401 to the pool if the body is short; otherwise close it.

        Before a retry, httpx reads the body. It gets the bytes that were read here, or none if they
        are compressed.
        """
        if response.is_closed:
            return  # an event hook has read it
        stream, body, interruption = response.stream, bytearray(), None
        if _has_short_body(response):
            until, handlers = runtime.monotonic() + PATIENCE_FOR_401, runtime.SignalHandlers()
            try:
                with _short_reads(response.request):
                    for piece in stream:
                        body += piece
                        if runtime.monotonic() > until:
                            break
            except self._library.TransportError as error:
                interruption = callers_exception(error, handlers)
        stream.close()
        if interruption:
            raise interruption
        response.stream = self._content(response, body)

    async def _release_async(self, response: Response) -> None:
        """Do the same in a task."""
        if response.is_closed:
            return
        stream, body = response.stream, bytearray()
        if _has_short_body(response):
            with anyio.move_on_after(PATIENCE_FOR_401), suppress(self._library.TransportError):
                async for piece in stream:
                    body += piece
        await stream.aclose()
        response.stream = self._content(response, body)

    def _content(self, response: Response, body: bytearray) -> Any:
        # httpx decompresses the body without a limit.
        return self._bytes_stream(b"" if "Content-Encoding" in response.headers else bytes(body))

    def _on_unseen_response(self, request: Any) -> None:
        """Handle a closed flow: the call failed, or an event hook raised, perhaps for a 401.

        After GeneratorExit has been handled, sys.exc_info() has the error that the HTTP library is
        handling, also in tasks. The response is a local variable of the library's function that has
        called the hook, whose frame is in the traceback, or an attribute of the error.
        """
        error, access_token = sys.exc_info()[1], _access_token_of(request)
        for frame, _ in walk_tb(error.__traceback__ if error else None):
            with suppress(Exception):  # of an object that runs code at each touch
                if any(self._rejects(one, access_token) for one in frame.f_locals.values()):
                    self._source.on_unseen_response(access_token)
                    return
        with suppress(Exception):
            if self._rejects(getattr(error, "response", None), access_token):
                self._source.on_unseen_response(access_token)

    def _rejects(self, response: Any, access_token: str) -> bool:
        """Whether this is a 401 to a request with `access_token`."""
        with suppress(Exception):
            of_library = issubclass(type(response), self._library.Response)
            if of_library and response.status_code == 401:
                return _access_token_of(response.request) == access_token
        return False

    def _on_response(self, response: Any, *, retried: bool = False) -> None:
        _redact_history(response)
        access_token = _access_token_of(response.request)
        self._source.on_response(access_token, response.status_code, retried=retried)


def _tls_context(library: Any) -> ssl.SSLContext:
    """Return the TLS context of `library` for this environment, created once."""
    environment = (os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return _new_tls_context(library, *environment)


@lru_cache(maxsize=8)
def _new_tls_context(library: Any, *_: str | None) -> ssl.SSLContext:
    context: ssl.SSLContext = library.create_ssl_context()
    return context


def _has_short_body(response: Any) -> bool:
    # Over HTTP/2, the connection need not be returned, and other frames may arrive endlessly.
    return body_length(response.headers) > 0 and response.http_version != "HTTP/2"


@contextmanager
def _short_reads(request: Any) -> Iterator[None]:
    """Limit each read of the response to `request` to PATIENCE_FOR_401 seconds."""
    extensions = request.extensions  # which the transport reads
    timeout = extensions.get("timeout", {})
    extensions["timeout"] = {**timeout, "read": PATIENCE_FOR_401}
    try:
        yield
    finally:
        extensions["timeout"] = timeout


@contextmanager
def _bounded(transport: Any, bounds: ResponseBounds) -> Iterator[Any]:
    """Return `transport` with limits, for one token request: see token_transport.py.

    httpx has no public name for the pool of a transport, and httpcore none for the parts of a pool.
    A transport without these private names is used as it is.
    """
    pool: Any = copy.copy(getattr(transport, "_pool", None))
    if not all(hasattr(pool, name) for name in ("_connections", "_requests", "_network_backend")):
        yield transport
        return
    pool._connections, pool._requests = [], []
    pool._network_backend = BoundedBackend(pool._network_backend, bounds)
    with closing(pool):
        yield with_values(transport, _pool=pool)


def _access_token_of(request: Any) -> str:
    """Return the access token of `request`, or ''."""
    scheme, _, access_token = request.headers.get("Authorization", "").partition(" ")
    return Masked(access_token) if scheme == "Bearer" else ""


def _redacted(request: Any) -> Any:
    """Return a copy of `request` without its token, for the history."""
    twin = copy.copy(request)
    twin.stream, twin.extensions = request.stream, request.extensions  # not copied by httpx
    twin.headers = request.headers.copy()
    twin.headers["Authorization"] = REDACTED
    return twin


def _redact_history(response: Any) -> None:
    """Remove the token from the requests that were redirected."""
    for earlier in response.history:
        if _access_token_of(earlier.request):
            earlier.request.headers["Authorization"] = REDACTED


def _body(request: Any) -> Any:
    # The `content=` of the request, for which httpx has no public name.
    return getattr(request.stream, "_stream", None)


def _position(request: Any) -> int | None:
    """Return the position where the body starts, if it is a file."""
    body = _body(request)
    if hasattr(body, "__aiter__") or not hasattr(body, "tell"):
        return None
    with suppress(OSError, ValueError):
        return int(body.tell())
    return None


def _rewind(request: Any, start: int | None) -> bool:
    """Rewind the body; return False if it cannot be sent again."""
    body = _body(request)
    if isinstance(body, bytes | list | tuple):
        return True
    if start is not None:
        with suppress(OSError, AttributeError, ValueError):  # ValueError: it has been closed
            body.seek(start)
            return True
        return False
    # A multipart body rewinds its files itself, but sends no file that it cannot rewind.
    fields = getattr(request.stream, "fields", None)
    return fields is not None and all(_seekable(getattr(field, "file", b"")) for field in fields)


def _seekable(content: object) -> bool:
    if isinstance(content, str | bytes):
        return True
    seekable = getattr(content, "seekable", None)
    return callable(seekable) and bool(seekable())
