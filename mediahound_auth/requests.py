"""MediaHoundAuth for requests: `session.auth = MediaHoundAuth(...)`, or `auth=` of any call."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import timedelta
from time import perf_counter
from typing import Any, ClassVar

from mediahound_auth._extras import missing_extra

try:
    import requests
    from urllib3.exceptions import HTTPError
except ModuleNotFoundError as _error:
    raise missing_extra(_error, __name__, "requests", "requests") from None
from requests.auth import AuthBase
from requests.cookies import extract_cookies_to_jar
from requests.exceptions import UnrewindableBodyError
from requests.utils import rewind_body
from urllib3.exceptions import HTTPError

from mediahound_auth import errors
from mediahound_auth._adapters.bearer_auth import REDACTED, BearerAuth, wrong_library
from mediahound_auth._adapters.requests_transport import bounded_adapter
from mediahound_auth._adapters.token_transport import (
    USER_AGENT,
    ResponseBounds,
    body_length,
    callers_exception,
    read_bounded,
    response_error,
)
from mediahound_auth._core import runtime
from mediahound_auth._core.grant import ClientAuth, TokenRequest, TokenResponse
from mediahound_auth._core.lifecycle import PATIENCE_FOR_401
from mediahound_auth._core.masked import Masked, masked
from mediahound_auth._core.origins import origin_of
from mediahound_auth._core.renewal import run_steps
from mediahound_auth._core.settings import Settings
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = [
    "ConfigurationError",
    "InvalidClientError",
    "InvalidTokenResponse",
    "MediaHoundAuth",
    "TokenEndpointUnavailable",
    "TokenRequestError",
]


# urllib3 logs malformed headers. Those of a token response may repeat the request.
_token_request_in_progress: ContextVar[bool] = ContextVar("token_request", default=False)


def _may_be_logged(record: logging.LogRecord) -> bool:
    malformed = str(record.msg).startswith("Failed to parse headers")
    return not (malformed and _token_request_in_progress.get())


logging.getLogger("urllib3.connection").addFilter(_may_be_logged)


class ConfigurationError(errors.ConfigurationError, requests.RequestException):
    """`mediahound_auth.ConfigurationError`, for code that catches requests' errors."""


class TokenRequestError(errors.TokenRequestError, requests.RequestException):
    """`mediahound_auth.TokenRequestError`, for code that catches requests' errors."""


class InvalidClientError(errors.InvalidClientError, TokenRequestError):
    """`mediahound_auth.InvalidClientError`, for code that catches requests' errors."""


class TokenEndpointUnavailable(
    errors.TokenEndpointUnavailable, TokenRequestError, requests.ConnectionError
):
    """`mediahound_auth.TokenEndpointUnavailable`, for code that catches requests' errors."""


class InvalidTokenResponse(errors.InvalidTokenResponse, TokenRequestError):
    """`mediahound_auth.InvalidTokenResponse`, for code that catches requests' errors."""


class MediaHoundAuth(BearerAuth, AuthBase):
    """Add a valid bearer token to each request to the MediaHound API.

    Use it as `auth=` of a session or of a single call. It is thread-safe. Objects with the same
    credentials share one token. If the API rejects the token (401), the request is retried once
    with a new one, provided that its body can be sent again from its start.

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
        client_auth: The client authentication method. Defaults to "mediahound": header and body, as
            MediaHound documents. Others: "client_secret_basic" and "client_secret_post" (RFC 6749
            §2.3.1), and "client_assertion" (RFC 7523 §2.2), for which `client_secret` is a callable
            that returns a new JWT for each token request.
        origins: Further origins the token may be sent to, as "https://host[:port]". The origin of
            the token endpoint is always allowed. Defaults to none.
        store: Where the token is kept between calls. Defaults to the memory of the process.
        renew_margin: Seconds before the expiry at which the background renewal begins, at most a
            fifth of the lifetime. Defaults to 300.
        timeout: Seconds to get one token, retries included. Defaults to 30.
        session: A Session whose proxies, CA bundle, client certificate and adapters are used for
            token requests. Nothing else of it is used. It is used from another thread. Defaults to
            the settings of the environment.

    Raises:
        ConfigurationError: An option is missing or wrong.
    """

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
        session: requests.Session | None = None,
    ) -> None:
        # Tools print variables.
        client_secret, parameters = masked(client_secret), masked(parameters)
        if session is not None and not isinstance(session, requests.Session):
            raise ConfigurationError(
                f"session must be a requests.Session, not {type(session).__name__}"
            )
        super().__init__(
            session,
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
        # The beginnings of allowed URLs, as requests normalises them.
        self._prefixes = tuple(f"{origin}/" for origin in settings.origins)
        self._hook = _Hook(self)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Attach the token. requests calls this while it prepares a request.

        Raises:
            MediaHoundAuthError: No token could be requested. Also a requests.RequestException.
        """
        url = request.url
        try:
            allowed = url and (url.startswith(self._prefixes) or self._allows(url))
        except AttributeError:  # not a str: a request of another library
            raise wrong_library(self, request) from None
        if allowed:
            renew_at, authorization, _ = self._shared.fast_path
            if runtime.now() >= renew_at:
                authorization = ""  # no old token is in a frame that may raise
                if not isinstance(request, requests.PreparedRequest):
                    _refuse_event_loop()
                outcome = run_steps(self._source.get_token())
                authorization = self._token_of(outcome, request).authorization
            request.headers["Authorization"] = authorization
            request.hooks["response"].append(self._hook)
        return request

    def _retry_if_rejected(
        self, response: requests.Response, kwargs: dict[str, Any]
    ) -> requests.Response:
        """Return `response`, a 401, or the response to a retry if the token was rejected.

        `kwargs` are those of the transport adapter's `send`.
        """
        source, request = self._source, response.request
        if not isinstance(request, requests.PreparedRequest):
            _refuse_event_loop()
        rejected = _access_token_of(request)
        if not rejected or not self._allows(request.url or ""):
            return response
        token = run_steps(source.get_replacement(rejected))
        del rejected  # no token is in a frame that may raise
        # A response without a transport adapter, for example from a cache, has no connection.
        if token is None or not hasattr(response, "connection") or not _rewind(request):
            return response
        retry = _retry(response, token, kwargs)
        source.on_response(token.access_token, retry.status_code, retried=True)
        return retry

    def _allows(self, url: str) -> bool:
        try:
            return self._source.allows(origin_of(url))
        except ValueError:
            return False

    def _send(self, request: TokenRequest, timeout: float) -> TokenResponse:
        if isinstance(self._transport, requests.Session):
            return self._send_with(self._transport, request, timeout)
        with requests.Session() as session:
            return self._send_with(session, request, timeout)

    def _send_with(
        self, session: requests.Session, request: TokenRequest, timeout: float
    ) -> TokenResponse:
        """Send a token request with the session's adapter, proxies, CA bundle and certificate only.

        So it has no cookies, headers, hooks, default auth or .netrc, and follows no redirect.
        """
        prepared = requests.Request(
            "POST", request.url, {**request.headers, "User-Agent": USER_AGENT}, data=request.body
        ).prepare()
        settings = session.merge_environment_settings(request.url, {}, True, None, None)
        bounds = ResponseBounds(timeout)
        try:
            _token_request_in_progress.set(True)
            with (
                bounded_adapter(session.get_adapter(request.url), bounds) as adapter,
                adapter.send(prepared, timeout=timeout, **settings) as response,
            ):
                # In small pieces, whose decompressed size is limited (to about a thousand times).
                body = read_bounded(response.iter_content(1024), bounds.until)
                return self._received(response, body)
        except (OSError, HTTPError) as error:  # OSError: the base class of requests' errors
            raise response_error(request.url, error, bounds)  # noqa: B904  # it has its own cause
        finally:
            _token_request_in_progress.set(False)

    def _received(self, response: requests.Response, body: bytes) -> TokenResponse:
        """Return the token response; `body` has been read."""
        return TokenResponse(response.status_code, response.headers, body)

    _error_types: ClassVar[errors.ErrorTypes] = {
        errors.ConfigurationError: ConfigurationError,
        errors.TokenRequestError: TokenRequestError,
        errors.InvalidClientError: InvalidClientError,
        errors.TokenEndpointUnavailable: TokenEndpointUnavailable,
        errors.InvalidTokenResponse: InvalidTokenResponse,
    }


def _refuse_event_loop() -> None:
    """Raise TypeError if an event loop is running: another library, such as niquests, calls."""
    asyncio: Any = sys.modules.get("asyncio")
    with suppress(RuntimeError):  # there is no event loop
        if asyncio and asyncio.get_running_loop():
            raise TypeError(
                "mediahound_auth.requests.MediaHoundAuth would block the event loop; in async "
                "code, use httpx and mediahound_auth.httpx"
            )


class _Hook:
    """The response hook, which requests also calls for each redirect.

    The request keeps it, and the response keeps the request. A pickled response, perhaps in a
    cache, must not contain the client secret, so an unpickled hook does nothing.
    """

    __slots__ = ("_auth",)

    def __init__(self, auth: MediaHoundAuth | None) -> None:
        self._auth = auth

    def __call__(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        auth = self._auth
        if auth is None:
            return response
        if response.status_code == 401:
            response = auth._retry_if_rejected(response, kwargs)
        elif auth._shared.fast_path[2]:
            auth._source.on_response(_access_token_of(response.request), response.status_code)
        if 300 <= response.status_code < 400 and _access_token_of(response.request):
            _redact(response)
        return response

    def __reduce__(self) -> tuple[type[_Hook], tuple[None]]:
        return _Hook, (None,)


def _access_token_of(request: requests.PreparedRequest) -> str:
    """Return the access token of `request`, or ''."""
    value = request.headers.get("Authorization")
    if isinstance(value, str) and value.startswith("Bearer "):
        return Masked(value.removeprefix("Bearer "))
    return ""


def _rewind(request: requests.PreparedRequest) -> bool:
    """Rewind the body; return False if it cannot be sent again."""
    body: Any = request.body
    if body is None or isinstance(body, str):
        return True
    try:
        size = memoryview(body).nbytes
        if hasattr(body, "seek"):  # a mmap: requests does not record its start
            body.seek(size - int(request.headers["Content-Length"]))
        return True
    except TypeError:
        pass
    try:
        rewind_body(request)
    except (UnrewindableBodyError, ValueError):  # ValueError: it has been closed
        return False
    return True


def _release(response: requests.Response) -> None:
    """Return the connection of a 401 to the pool if the body is short; otherwise close it.

    The bytes that were read become `response.content`; compressed bytes are dropped.
    """
    try:
        body = b"" if response._content_consumed else _short_body(response)
    finally:
        response.close()
    if not response._content_consumed:
        response._content = b"" if "Content-Encoding" in response.headers else body
        response._content_consumed = True


def _short_body(response: requests.Response) -> bytes:
    raw, length = response.raw, body_length(response.headers)
    sock = getattr(getattr(raw, "connection", None), "sock", None)
    if not length or sock is None or not hasattr(raw, "read1"):  # urllib3 1 has no read1
        return b""
    until, handlers = runtime.monotonic() + PATIENCE_FOR_401, runtime.SignalHandlers()
    body, interruption = b"", None
    try:
        while len(body) < length and (remaining := until - runtime.monotonic()) > 0:
            sock.settimeout(remaining)
            piece = raw.read1(length, decode_content=False)
            if not piece:  # the connection was closed early
                break
            body += piece
    except (HTTPError, OSError) as error:
        interruption = callers_exception(error, handlers)
    if interruption:
        raise interruption
    return body


def _redact(response: requests.Response) -> None:
    """Give `response`, which goes into the history, a copy of its request without the token.

    The redirect or retry uses the original request.
    """
    response.request = response.request.copy()
    response.request.headers["Authorization"] = REDACTED


def _retry(response: requests.Response, token: Token, kwargs: dict[str, Any]) -> requests.Response:
    """Retry the request of `response` with `token`, in the way of HTTPDigestAuth."""
    _release(response)
    request = response.request
    _redact(response)
    request.headers["Authorization"] = token.authorization
    cookies = request._cookies
    if cookies is not None:
        extract_cookies_to_jar(cookies, response.request, response.raw)
        request.prepare_cookies(cookies)
    started = perf_counter()
    retry: requests.Response = response.connection.send(request, **kwargs)
    retry.elapsed = timedelta(seconds=perf_counter() - started)
    retry.history.append(response)
    return retry
