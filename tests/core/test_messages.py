"""Log messages and errors are complete and true."""

from __future__ import annotations

import logging
import re

import httpx
import pytest
import requests
from ports import held
from timing import AGEING, Clock, eventually, server_of_new_tokens, wait_for_renewals

from mediahound_auth import TokenEndpointUnavailable
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores.redis import RedisStore
from mediahound_auth.testing import MediaHoundServer


def messages(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    wait_for_renewals()
    ours = [record for record in caplog.records if record.name == "mediahound_auth"]
    return [record.getMessage() for record in ours if record.levelno >= level]


def test_a_failed_renewal_in_the_background_says_that_the_token_stays_in_use(
    client_id: str, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with server_of_new_tokens(client_id, clock) as server:
        auth = MediaHoundAuth(**server.credentials)
        auth.token()
        clock.advance(AGEING)
        server.respond_to_token_requests(1, status=400)
        auth.token()
        eventually(lambda: messages(caplog))
    [message] = messages(caplog)
    start = "could not renew the access token in the background; the current token stays in use for"
    assert re.match(f"{start} [0-9]+ s: ", message)


def test_a_failure_that_callers_wait_for_is_not_logged_as_background(
    server: MediaHoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.respond_to_token_requests(1, status=400)
    with pytest.raises(requests.RequestException) as caught:
        MediaHoundAuth(**server.credentials).token()
    assert messages(caplog) == [f"could not get an access token: {caught.value}"]


def test_an_endpoint_that_cannot_be_reached_is_named_with_the_attempts(client_id: str) -> None:
    with held() as port:
        url = f"http://127.0.0.1:{port.getsockname()[1]}/token"
        auth = MediaHoundAuth(client_id, "s3cr3t", token_url=f"{url}?key=pri-vate", timeout=1)
        with pytest.raises(TokenEndpointUnavailable) as caught:
            auth.token()
    start = f"could not reach the token endpoint {url}: Connection refused"
    assert str(caught.value).startswith(start)
    assert re.search(r"\([0-9]+ attempts in [01]\.[0-9] s\)$", str(caught.value))


def test_an_api_that_rejects_every_token_is_logged_once(
    server: MediaHoundServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    auth = MediaHoundAuth(**server.credentials)
    server.reject_api_requests = True
    for n in range(20):
        if n % 2:  # and else, it is the same token that is returned
            server.revoke_tokens()
        requests.get(f"{server.url}/echo", auth=auth, timeout=20)
        clock.advance(10)
    [message] = messages(caplog)
    assert message.startswith("the API rejects new access tokens too (401)")


@pytest.mark.parametrize("same", [True, False], ids=["the same token", "another token"])
def test_an_api_that_rejects_every_token_is_logged_at_the_first_calls(
    same: bool, client_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    with MediaHoundServer(client_id=client_id, return_same_token=same) as server:
        auth = MediaHoundAuth(**server.credentials)
        server.reject_api_requests = True
        for _ in range(2):
            assert requests.get(f"{server.url}/echo", auth=auth, timeout=20).status_code == 401
    [message] = messages(caplog)
    assert message.startswith("the API rejects new access tokens too (401)")


def test_an_unseen_response_is_not_logged_as_a_rejected_token(
    server: MediaHoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    def hook(response: httpx.Response) -> None:
        if response.status_code == 404:
            raise ValueError("404")

    url, auth = f"{server.url}/status/200", HttpxAuth(**server.credentials)
    auth.token()
    server.revoke_tokens()
    server.respond_to_api_requests(1, status=401)
    server.respond_to_api_requests(2, status=404)
    with httpx.Client(auth=auth, event_hooks={"response": [hook]}) as client:
        for _ in range(2):
            with pytest.raises(ValueError, match="404"):
                client.get(url)
        assert client.get(url).status_code == 200
    assert messages(caplog) == []


def test_a_redis_that_cannot_be_reached_is_named_with_the_reason(
    server: MediaHoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    with held() as port:
        url = f"redis://:pa55word@127.0.0.1:{port.getsockname()[1]}"
        MediaHoundAuth(**server.credentials, store=RedisStore(url)).token()
    [message] = messages(caplog)
    bare = url.replace(":pa55word@", "")
    assert message.startswith(f"RedisStore('{bare}', prefix='mediahound-auth:') failed to load (")
    assert "Connection refused" in message
    assert message.endswith("; continuing without it until the next renewal")
