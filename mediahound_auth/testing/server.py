"""MediaHoundServer: a fake MediaHound server on loopback, for tests, demos and benchmarks.

It speaks HTTP and TLS over real sockets, requires MediaHound's client authentication and valid
tokens, records each request, and fails on request.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self, TypedDict
from urllib.parse import urlsplit

from mediahound_auth._core.grant import ClientAuth
from mediahound_auth.testing import api
from mediahound_auth.testing.listener import Listener
from mediahound_auth.testing.provider import AuthorizationServer, TokenIssuer
from mediahound_auth.testing.traffic import Answer, HeldRequests, ReceivedRequest, Traffic

TOKEN_PATH = "/1.3/security/oauth/token"


class Credentials(TypedDict):
    """The keyword arguments of `MediaHoundAuth` for a server."""

    client_id: str
    client_secret: str
    token_url: str


class MediaHoundServer:
    """A fake MediaHound server on a port of 127.0.0.1, in threads of this process.

    Use it as a context manager, or call `start` and `stop`. A stopped server cannot be started
    again. `client_id`, `client_secret`, `scope` and `clock` are attributes, too; `clock` may be
    replaced at any time.

    Attributes:
        token_requests: The requests to the token endpoint, in the order of arrival. A request is
            added as soon as it has been read.
        api_requests: The requests to all other paths, likewise.
        token_delay: Seconds before each response of the token endpoint. Defaults to 0.
        reject_api_requests: Whether the API responds with 401 to every request. Defaults to False.
    """

    def __init__(
        self,
        *,
        client_id: str = "MyClientId",
        client_secret: str = "MyClientSecret",
        lifetime: float = 1_209_600,
        return_same_token: bool = True,
        scope: str = "public_profile",
        client_auth: ClientAuth = "mediahound",
        ssl_context: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
        port: int = 0,
    ) -> None:
        """Prepare the server. `start` opens the socket.

        Args:
            client_id: The ID of the only client.
            client_secret: The secret of this client.
            lifetime: Seconds until a token expires. Defaults to two weeks.
            return_same_token: True returns the same token, with a shrinking `expires_in`, until it
                has expired, as MediaHound does. False returns a new token each time; the older ones
                stay valid until they expire.
            scope: The scopes of the client, separated by spaces. It gets all of them by default,
                and may request only these.
            client_auth: The required client authentication method, as for MediaHoundAuth. With
                "client_assertion", `client_secret` is the assertion.
            ssl_context: Serve TLS with this context, whose certificate is for "localhost".
            clock: Returns the time in seconds.
            port: The port. Defaults to 0, a free port.

        Raises:
            ValueError: `client_auth` or `lifetime` is invalid.
        """
        if not 0 <= lifetime < math.inf:
            raise ValueError(f"lifetime must be a number of seconds, not {lifetime!r}")
        self.client_id = client_id
        self.client_secret = client_secret
        self.scope = scope
        self.clock = clock
        self.token_delay: float = 0.0
        self.reject_api_requests = False
        self._issuer = TokenIssuer(
            lifetime=lifetime, return_same_token=return_same_token, clock=lambda: self.clock()
        )
        self._authorization_server = AuthorizationServer(
            client_id=client_id,
            client_secret=client_secret,
            scope=scope,
            client_auth=client_auth,
            issuer=self._issuer,
        )
        self._token_traffic = Traffic()
        self._api_traffic = Traffic()
        self.token_requests: list[ReceivedRequest] = self._token_traffic.requests
        self.api_requests: list[ReceivedRequest] = self._api_traffic.requests
        self._ssl_context = ssl_context
        self._wanted_port = port
        self._stopping = threading.Event()
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None
        self._url: str | None = None

    def start(self) -> Self:
        """Open the socket and serve, in threads.

        Raises:
            RuntimeError: The server has been started before.
            OSError: The port is in use.
        """
        if self._url is not None:
            raise RuntimeError("this MediaHoundServer has been started before; create another one")
        self._listener = Listener(self._answer, self._ssl_context, self._wanted_port)
        port = self._listener.server_address[1]
        # Certificates are issued for names, and clients verify the name they connect to.
        origin = "http://127.0.0.1" if self._ssl_context is None else "https://localhost"
        self._url = f"{origin}:{port}"
        self._thread = threading.Thread(
            target=self._listener.serve_forever, name=f"MediaHoundServer {port}", daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the socket and all connections, and end the threads.

        Held requests get no response. A second call does nothing.
        """
        listener, self._listener = self._listener, None
        if listener is None or self._thread is None:
            return
        self._stopping.set()
        self._token_traffic.close()
        self._api_traffic.close()
        listener.stop_accepting()
        self._thread.join()
        listener.disconnect_all()

    def __enter__(self) -> Self:
        """Call `start`."""
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Call `stop`."""
        self.stop()

    @property
    def url(self) -> str:
        """The origin: "http://127.0.0.1:PORT", or "https://localhost:PORT" with TLS.

        Raises:
            RuntimeError: The server has not been started.
        """
        if self._url is None:
            raise RuntimeError("a MediaHoundServer has no address before it is started")
        return self._url

    @property
    def token_url(self) -> str:
        """The URL of the token endpoint."""
        return self.url + TOKEN_PATH

    @property
    def credentials(self) -> Credentials:
        """Keyword arguments, for `MediaHoundAuth(**server.credentials)`."""
        return {
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "token_url": self.token_url,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with the same values, for `MediaHoundAuth()`."""
        return {f"MEDIAHOUND_{name.upper()}": str(v) for name, v in self.credentials.items()}

    def expire_tokens(self) -> None:
        """Expire all tokens now. The next token request gets a new one."""
        self._issuer.expire_in(0)

    def expire_in(self, seconds: float) -> None:
        """Expire the currently valid tokens in `seconds`."""
        self._issuer.expire_in(seconds)

    def revoke_tokens(self) -> None:
        """Revoke all tokens now. The next token request gets a new one."""
        self._issuer.revoke()

    def respond_to_token_requests(
        self,
        n: float,
        *,
        status: int = 503,
        body: bytes | str | Mapping[str, object] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send this response to the next `n` token requests.

        Several calls of this method and of `drop_token_requests` queue up. With math.inf, the
        response is sent until the next call of such a method. 0 clears the queue. A mapping as
        body is sent as JSON.

        Raises:
            ValueError: `n` is neither a whole number nor math.inf.
        """
        self._token_traffic.plan(n, Answer.of(status, body, headers or {}))

    def respond_to_api_requests(
        self,
        n: float,
        *,
        status: int = 503,
        body: bytes | str | Mapping[str, object] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send this response to the next `n` API requests; see `respond_to_token_requests`."""
        self._api_traffic.plan(n, Answer.of(status, body, headers or {}))

    def drop_token_requests(self, n: float) -> None:
        """Read the next `n` token requests, and reset the connection without a response."""
        self._token_traffic.plan(n, "drop")

    def drop_api_requests(self, n: float) -> None:
        """Read the next `n` API requests, and reset the connection without a response."""
        self._api_traffic.plan(n, "drop")

    def hold_token_requests(self) -> AbstractContextManager[HeldRequests]:
        """Hold the responses to token requests until the block ends, or until `release`.

        Raises:
            RuntimeError: They are held already, or the server has been stopped.
        """
        return self._token_traffic.hold()

    def hold_api_requests(self) -> AbstractContextManager[HeldRequests]:
        """Hold the responses to API requests until the block ends, or until `release`.

        Raises:
            RuntimeError: They are held already, or the server has been stopped.
        """
        return self._api_traffic.hold()

    def _answer(self, request: ReceivedRequest) -> Answer | None:
        """Return the response to this request; None to reset the connection."""
        url = urlsplit(request.path)
        to_token_endpoint = url.path == TOKEN_PATH
        planned = (self._token_traffic if to_token_endpoint else self._api_traffic).arrive(request)
        if to_token_endpoint:
            self._stopping.wait(self.token_delay)
        if planned == "drop" or self._stopping.is_set():
            return None
        if planned is not None:
            return planned
        if to_token_endpoint:
            return self._authorization_server.answer(request, url.query)
        token = api.bearer_token(request)
        if token is None:
            return api.missing_token()
        problem = "Access token rejected" if self.reject_api_requests else None
        problem = problem or self._issuer.problem_with(token)
        return api.answer(request) if problem is None else api.invalid_token(problem)
