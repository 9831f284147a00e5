"""The authentication flow of httpx and httpx2: what they call around each request.

Both flows are written out, and not derived from `auth_flow`, since a call with a live token should
cost one generator and not two. No lock is held while a request is in flight, and nothing blocks in
the asynchronous one.
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
from typing import Any, ClassVar, Generic, NoReturn, TypeVar

import anyio.lowlevel  # here, so that no event loop is held up by importing it
from anyio import to_thread

from mediahound_auth import errors
from mediahound_auth._adapters.bearer_auth import REDACTED, BearerAuth, wrong_library
from mediahound_auth._adapters.token_transport import (
    PATIENCE_FOR_401,
    USER_AGENT,
    BoundedBackend,
    ResponseBounds,
    body_length,
    callers_timeout,
    decompressed,
    read_bounded,
    response_error,
    with_values,
)
from mediahound_auth._core import runtime
from mediahound_auth._core.grant import ClientAuth, TokenRequest, TokenResponse
from mediahound_auth._core.masked import Masked, masked
from mediahound_auth._core.origins import DEFAULT_PORTS, Origin
from mediahound_auth._core.renewal import Steps, run_steps, run_steps_async
from mediahound_auth._core.settings import Settings
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = ["BearerFlow"]


# A web socket begins with an HTTP request (RFC 6455 §4.1).
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}

# The library's own; what this module relies on, httpx and httpx2 have in common. `Client` is the
# synchronous one, whose transports send the token requests.
Client = TypeVar("Client", bound=Any)
Request = TypeVar("Request", bound=Any)
Response = TypeVar("Response", bound=Any)


class BearerFlow(BearerAuth, Generic[Client, Request, Response]):
    """Attaches the token, and retries a request once if its token is rejected."""

    _request_attribute = "_request"
    # httpx, or what has the same names.
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
        """Check the options; nothing is sent yet.

        Args:
            client_id: The OAuth client ID. Defaults to MEDIAHOUND_CLIENT_ID.
            client_secret: The client secret. Defaults to MEDIAHOUND_CLIENT_SECRET. A callable is
                called once per renewal, for secrets that are rotated.
            token_url: The token endpoint, https (or http on loopback). Defaults to
                MEDIAHOUND_TOKEN_URL, then to MediaHound's.
            scope: The scopes to request, as one str separated by spaces or as several.
            parameters: Further form fields of the token request, such as {"audience": "…"}. A list
                sends its field more than once; a "grant_type" replaces "client_credentials".
            client_auth: The client authentication method: "mediahound" as MediaHound documents it
                (header and body), RFC 6749 §2.3.1's "client_secret_basic" or
                "client_secret_post", or RFC 7523's "client_assertion". The latter takes a callable
                as `client_secret`, which returns a new JWT for each token request.
            origins: Further origins the token may go to, as "https://host[:port]", besides that of
                the token endpoint.
            store: Where the token is kept between calls. Defaults to this process's memory.
            renew_margin: Seconds before the expiry at which renewal in the background begins.
            timeout: Seconds that getting one token may take, retries included.
            client: The client for token requests, for its proxies, CA bundle, client certificate
                and transports; nothing else of it is used. It is used from another thread: a
                synchronous Client, also where the auth object is used with an AsyncClient.

        Raises:
            ConfigurationError: an option is missing or wrong.
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
            # Not at the first request: it takes 25 ms without letting an event loop run.
            with suppress(OSError):  # of the environment's CA bundle; it will be raised then
                _tls_context(self._library)
        # The library's own kind of body that can be sent any number of times.
        self._bytes_stream = self._library.ByteStream
        # The allowed origins in the form of httpx's URLs; `_allows` judges what is not in here.
        self._targets = frozenset(
            (scheme, host, None if DEFAULT_PORTS[scheme] == port else port)
            for scheme, host, port in settings.origins
        )

    async def atoken(self) -> Token:
        """`token()` for a task, on asyncio or trio.

        Raises:
            MediaHoundAuthError: there is none to be had; also the HTTP library's base error.
        """
        return self._token_of(await run_steps_async(self._source.get_token()))

    async def arenew(self) -> Token:
        """`renew()` for a task, on asyncio or trio.

        Raises:
            MediaHoundAuthError: it gave none; the token at hand stays in use.
        """
        return self._token_of(await run_steps_async(self._source.renew()))

    async def aforget(self) -> None:
        """`forget()` for a task, on asyncio or trio: a store may take its time.

        Raises:
            ConfigurationError: the client_secret callable failed; also the HTTP library's base
                error.
        """
        await to_thread.run_sync(self.forget)

    def auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """`sync_auth_flow`, for auth objects that wrap this one, as httpx documents it.

        Raises:
            RuntimeError: there is an event loop, which it would block; `async_auth_flow` does not.
        """
        try:
            anyio.lowlevel.current_token()
        except RuntimeError:  # there is none
            return self.sync_auth_flow(request)
        raise RuntimeError("in async code, call async_auth_flow instead of auth_flow")

    def __call__(self, request: object) -> NoReturn:
        """Raise TypeError: another HTTP library calls its auth objects."""
        raise wrong_library(self, request)

    def sync_auth_flow(self, request: Request) -> Generator[Request, Response, None]:
        """What a synchronous client calls around each request, redirects within."""
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
        """What an asynchronous client calls around each request, redirects within."""
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
        """Send a token request with the client's transport, and with nothing else of it.

        No cookies, headers, event hooks or default auth come in that way, and no redirect is
        followed or even looked at. httpx has no public way to a client's transports.
        """
        if client.is_closed:
            raise RuntimeError("the client given as client= has been closed")
        transport_for_url = getattr(client, "_transport_for_url", None)
        if transport_for_url is None:
            raise RuntimeError(f"this version of {self._library.__name__} hides its transports")
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
                    # As it came: httpx decompresses without bounds. Some transports return what
                    # has been read.
                    read = response.is_stream_consumed
                    chunks = [response.content] if read else response.iter_raw()
                    body = decompressed(read_bounded(chunks, bounds.until), response.headers)
                    return TokenResponse(response.status_code, response.headers, body)
        except (self._library.RequestError, OSError, UnicodeError) as error:
            raise response_error(request.url, error, bounds)  # noqa: B904  # it has its own cause

    def _allows(self, url: Any) -> bool:
        scheme = _HTTP_SCHEMES.get(url.scheme, url.scheme)
        host, port = url.raw_host.decode("ascii"), url.port
        if scheme not in DEFAULT_PORTS or not host or port == 0:  # as origin_of has it
            return False  # the library will say what is wrong with it
        port = DEFAULT_PORTS[scheme] if port is None else port
        return self._source.allows(Origin(scheme, host, port))

    def _prepare_retry(self, response: Any, start: int | None) -> Steps[Request | None]:
        """The request that got this 401, fit to be sent again; None if that makes no sense.

        It is the last one after redirects, and the token may have been taken from it on the way.
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
        """Give the connection of a 401 back if its body is short and at hand; otherwise close it.

        Before a retry, httpx reads the body to its end; then it is what has been read here.
        """
        if response.is_closed:
            return  # a hook has read it
        stream, body, interruption = response.stream, bytearray(), None
        if _has_short_body(response):
            read_until = until = runtime.monotonic() + PATIENCE_FOR_401
            try:
                with _short_reads(response.request):
                    for piece in stream:
                        body += piece
                        if (now := runtime.monotonic()) > until:
                            break
                        read_until = now + PATIENCE_FOR_401
            except self._library.TransportError as error:
                interruption = callers_timeout(error, read_until)
        stream.close()
        if interruption:
            raise interruption
        response.stream = self._content(response, body)

    async def _release_async(self, response: Response) -> None:
        """The same for a task."""
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
        # httpx will decode it, and that might inflate.
        return self._bytes_stream(b"" if "Content-Encoding" in response.headers else bytes(body))

    def _on_unseen_response(self, request: Any) -> None:
        """The flow was closed: the call went wrong, or an event hook raised, for a 401 perhaps.

        Now that GeneratorExit has been handled, Python tells which error the HTTP library is
        handling, in tasks as well.
        """
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, self._library.RequestError):
            response = getattr(error, "response", None)
            if response is None or response.status_code == 401:
                self._source.on_unseen_response(_access_token_of(request))

    def _on_response(self, response: Any, *, retried: bool = False) -> None:
        _redact_history(response)
        access_token = _access_token_of(response.request)
        self._source.on_response(access_token, response.status_code, retried=retried)


def _tls_context(library: Any) -> ssl.SSLContext:
    """What `library` makes of this environment, once and not for each renewal."""
    environment = (os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    return _new_tls_context(library, *environment)


@lru_cache(maxsize=8)
def _new_tls_context(library: Any, *_: str | None) -> ssl.SSLContext:
    context: ssl.SSLContext = library.create_ssl_context()
    return context


def _has_short_body(response: Any) -> bool:
    # Over HTTP/2 no connection has to be given back, and other frames may come without end.
    return body_length(response.headers) > 0 and response.http_version != "HTTP/2"


@contextmanager
def _short_reads(request: Any) -> Iterator[None]:
    """No read of the body of the response to `request` takes longer than PATIENCE_FOR_401."""
    extensions = request.extensions  # those that the transport has, too
    timeout = extensions.get("timeout", {})
    extensions["timeout"] = {**timeout, "read": PATIENCE_FOR_401}
    try:
        yield
    finally:
        extensions["timeout"] = timeout


@contextmanager
def _bounded(transport: Any, bounds: ResponseBounds) -> Iterator[Any]:
    """`transport` for one token request: see token_transport.py.

    httpx has no public way to the pool of a transport, nor httpcore to one with other connections
    and the same settings. A transport without these names is used as it is.
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
    """The access token that `request` carries, or ''."""
    scheme, _, access_token = request.headers.get("Authorization", "").partition(" ")
    return Masked(access_token) if scheme == "Bearer" else ""


def _redacted(request: Any) -> Any:
    """A copy of `request`, for the history, without its token."""
    twin = copy.copy(request)
    twin.stream, twin.extensions = request.stream, request.extensions  # which httpx does not copy
    twin.headers = request.headers.copy()
    twin.headers["Authorization"] = REDACTED
    return twin


def _redact_history(response: Any) -> None:
    """Take the token from the requests that were redirected."""
    for earlier in response.history:
        if _access_token_of(earlier.request):
            earlier.request.headers["Authorization"] = REDACTED


def _body(request: Any) -> Any:
    # httpx keeps what it was given as `content=` here, and has no public name for it.
    return getattr(request.stream, "_stream", None)


def _position(request: Any) -> int | None:
    """Where the body starts, if it is a file that knows."""
    body = _body(request)
    if hasattr(body, "__aiter__") or not hasattr(body, "tell"):
        return None
    with suppress(OSError, ValueError):
        return int(body.tell())
    return None


def _rewind(request: Any, start: int | None) -> bool:
    """Put the body back to its start; False if it cannot be sent again."""
    body = _body(request)
    if isinstance(body, bytes | list | tuple):
        return True
    if start is not None:
        with suppress(OSError, AttributeError, ValueError):  # the last: it has been closed
            body.seek(start)
            return True
        return False
    # A multipart body rewinds its files itself, but sends nothing of those that cannot be.
    fields = getattr(request.stream, "fields", None)
    return fields is not None and all(_seekable(getattr(field, "file", b"")) for field in fields)


def _seekable(content: object) -> bool:
    if isinstance(content, str | bytes):
        return True
    seekable = getattr(content, "seekable", None)
    return callable(seekable) and bool(seekable())
