"""MediaHoundSession, a requests-oauthlib OAuth2Session that renews its token."""

from __future__ import annotations

import logging
import pickle
import threading
import traceback
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from oauth2sessions import search
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session

from mediahound_auth import ConfigurationError, InvalidClientError, MediaHoundAuthError
from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import FileStore
from mediahound_auth.testing import MediaHoundServer


def sent(server: MediaHoundServer) -> str | None:
    """The Authorization header of the last API call."""
    return server.api_requests[-1].headers["Authorization"]


def test_it_is_an_oauth2session_over_the_client_for_this_grant(server: MediaHoundServer) -> None:
    session = MediaHoundSession(**server.credentials, scope="public_profile")
    assert isinstance(session, OAuth2Session)
    assert isinstance(session._client, BackendApplicationClient)
    assert session.client_id == server.client_id
    assert session.scope == ["public_profile"]


def test_the_first_request_fetches_a_token_and_the_next_ones_use_it(
    server: MediaHoundServer,
) -> None:
    session = MediaHoundSession(**server.credentials)
    assert not session.authorized
    assert session.token == {}
    assert session.access_token is None
    assert [search(session, server) for _ in range(3)] == [200, 200, 200]
    assert len(server.token_requests) == 1
    assert session.authorized
    assert sent(server) == f"Bearer {session.access_token}"


def test_its_token_has_the_fields_that_oauthlib_gives_it(server: MediaHoundServer) -> None:
    theirs = OAuth2Session(client=BackendApplicationClient(server.client_id))._client
    theirs.parse_request_body_response(
        '{"access_token": "a", "token_type": "Bearer", "expires_in": 60, "scope": "b"}'
    )
    session = MediaHoundSession(**server.credentials)
    token = session.fetch_token()
    assert token == session.token
    assert token.keys() == theirs.token.keys()
    assert token["scope"] == ["public_profile"]
    assert token["expires_in"] in (1_209_599, 1_209_600)


def test_64_threads_with_a_session_each_make_one_token_request(server: MediaHoundServer) -> None:
    start = threading.Barrier(64)

    def call(_: int) -> int:
        with MediaHoundSession(**server.credentials) as session:
            start.wait(30)
            return search(session, server)

    with ThreadPoolExecutor(64) as pool:
        assert set(pool.map(call, range(64))) == {200}
    assert len(server.token_requests) == 1


def test_a_revoked_token_is_replaced_and_the_request_sent_again(server: MediaHoundServer) -> None:
    session = MediaHoundSession(**server.credentials)
    search(session, server)
    server.revoke_tokens()
    url = f"{server.url}/echo"
    reply = session.post(url, data={"title": "Gladiator"}, timeout=10)
    assert (reply.status_code, reply.json()["body"]) == (200, "title=Gladiator")
    assert len(server.token_requests) == 2


def test_a_session_finds_the_token_in_a_store(server: MediaHoundServer, tmp_path: Path) -> None:
    MediaHoundAuth(**server.credentials, store=FileStore(tmp_path / "tokens")).token()
    session = MediaHoundSession(**server.credentials, store=FileStore(tmp_path / "tokens"))
    assert search(session, server) == 200
    assert len(server.token_requests) == 1


def test_the_token_goes_to_no_other_origin_redirects_included(server: MediaHoundServer) -> None:
    with MediaHoundServer() as elsewhere:
        session = MediaHoundSession(**server.credentials)
        assert search(session, elsewhere) == 401
        assert sent(elsewhere) is None
        assert server.token_requests == []
        session.get(f"{server.url}/redirect?to={elsewhere.url}/echo", timeout=10)
        assert sent(elsewhere) is None
        session = MediaHoundSession(**server.credentials, origins=[elsewhere.url])
        search(session, elsewhere)
        assert str(sent(elsewhere)).startswith("Bearer ")


def test_a_token_can_be_withheld_and_another_auth_given(server: MediaHoundServer) -> None:
    session = MediaHoundSession(**server.credentials)
    assert search(session, server, withhold_token=True) == 401
    assert sent(server) is None
    assert search(session, server, auth=("user", "word")) == 401
    assert str(sent(server)).startswith("Basic ")
    assert server.token_requests == []


@pytest.mark.parametrize("withhold", [False, True])
def test_auth_of_the_session_takes_precedence_over_the_token(
    server: MediaHoundServer, withhold: bool
) -> None:
    session = MediaHoundSession(**server.credentials)
    session.auth = ("user", "word")
    search(session, server, withhold_token=withhold)
    assert str(sent(server)).startswith("Basic ")
    session.auth = None
    assert search(session, server, withhold_token=withhold) == (401 if withhold else 200)
    assert (sent(server) is None) is withhold


def test_a_prepared_request_carries_the_token_too(server: MediaHoundServer) -> None:
    session = MediaHoundSession(**server.credentials)
    request = session.prepare_request(requests.Request("GET", f"{server.url}/echo"))
    assert session.send(request, timeout=10).status_code == 200


def test_arguments_of_existing_code_to_request_are_accepted(server: MediaHoundServer) -> None:
    session = MediaHoundSession(**server.credentials)
    assert search(session, server, client_id="other", client_secret="wrong") == 200


@pytest.mark.parametrize("method", ["fetch_token", "refresh_token"])
def test_fetch_token_requests_a_token_and_rejects_arguments(
    server: MediaHoundServer, method: str
) -> None:
    session = MediaHoundSession(**server.credentials)
    for n in (1, 2):
        assert getattr(session, method)()["access_token"]
        assert len(server.token_requests) == n
    with pytest.raises(ConfigurationError, match="to MediaHoundSession") as caught:
        getattr(session, method)(server.token_url, client_secret="MyClientSecret")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if frame.filename != __file__]
    assert "MyClientSecret" not in f"{caught.value} {[frame.locals for frame in ours]}"
    assert isinstance(caught.value, requests.RequestException)


def test_a_rejected_client_is_an_error_of_ours_and_of_requests(server: MediaHoundServer) -> None:
    session = MediaHoundSession(
        server.client_id, "wrong", token_url=server.token_url, token_updater=print
    )
    with pytest.raises(InvalidClientError) as caught:
        search(session, server)
    assert isinstance(caught.value, requests.RequestException)
    assert not session.authorized


def test_a_missing_option_is_an_error_of_the_constructor() -> None:
    with pytest.raises(MediaHoundAuthError, match="client_secret"):
        MediaHoundSession("MyClientId")


class Recording(requests.adapters.HTTPAdapter):
    """An adapter that keeps with which settings each path was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, Any] = {}

    def send(self, request: requests.PreparedRequest, *_: Any, **settings: Any) -> Any:
        self.sent[str(request.path_url)] = settings
        return super().send(request, **settings)


def test_token_requests_go_through_the_session_s_adapters_with_its_settings(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    pem = tmp_path / "our.pem"
    pem.touch()
    session = MediaHoundSession(**server.credentials)
    adapter = Recording()
    session.mount(server.url, adapter)
    session.verify, session.cert = str(tmp_path / "ca.pem"), (str(pem), str(pem))
    session.proxies = {"https": "http://127.0.0.1:9"}
    session.headers["X-Ours"], session.params = "1", {"ours": "1"}
    session.hooks["response"] = lambda *_, **__: pytest.fail("a hook for a token request")
    session.fetch_token()
    assert list(adapter.sent) == ["/1.3/security/oauth/token"]
    [settings] = adapter.sent.values()
    assert settings["verify"] == session.verify
    assert settings["cert"] == session.cert
    assert settings["proxies"]["https"] == "http://127.0.0.1:9"
    assert "X-Ours" not in server.token_requests[0].headers


def test_a_proxy_that_does_not_respond_is_a_timeout(server: MediaHoundServer) -> None:
    session = MediaHoundSession(**server.credentials, timeout=2)
    session.proxies = {"http": "http://127.0.0.1:9"}
    with pytest.raises(MediaHoundAuthError, match="could not reach"):
        session.fetch_token()


@pytest.fixture
def all_logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What all loggers say, as talkative as they can be made."""
    with caplog.at_level(logging.DEBUG), ExitStack() as stack:
        for name in ("requests_oauthlib", "oauthlib", "urllib3", "mediahound_auth"):
            stack.enter_context(caplog.at_level(logging.DEBUG, logger=name))
        yield caplog


def test_no_log_at_any_level_holds_the_secret_or_a_token(
    server: MediaHoundServer, all_logs: pytest.LogCaptureFixture
) -> None:
    session = MediaHoundSession(**server.credentials, token_updater=lambda _: None)
    for kind in ("protected_request", "access_token_request"):
        session.register_compliance_hook(kind, lambda *request: request)
    session.register_compliance_hook("access_token_response", lambda response: response)
    tokens = {session.fetch_token()["access_token"], session.refresh_token()["access_token"]}
    search(session, server)
    server.revoke_tokens()
    search(session, server)
    tokens.add(session.access_token)
    session.token = session.token
    search(session, server, client_secret=server.client_secret)
    said = "".join(f"{record.getMessage()} {vars(record)!r}" for record in all_logs.records)
    assert "/1.3/security/oauth/token" in said  # by urllib3, so there is something to look at
    basic = b64encode(f"{server.client_id}:{server.client_secret}".encode()).decode()
    for private in (server.client_secret, basic, *tokens):
        assert str(private) not in said


def test_requests_oauthlib_itself_logs_both(
    server: MediaHoundServer, all_logs: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the test above would see it."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    session = OAuth2Session(client=BackendApplicationClient(server.client_id))
    pair = (server.client_id, server.client_secret)
    token = session.fetch_token(
        server.token_url, auth=pair, include_client_id=True, client_secret=pair[1]
    )
    assert token["access_token"] in all_logs.text
    assert server.client_secret in all_logs.text


def test_loopback_needs_no_insecure_transport(
    server: MediaHoundServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OAUTHLIB_INSECURE_TRANSPORT", raising=False)
    assert search(MediaHoundSession(**server.credentials), server) == 200


def test_a_traceback_through_the_constructor_shows_no_secret() -> None:
    with pytest.raises(ConfigurationError) as caught:
        MediaHoundSession("MyClientId", "s3cr3t/+&=x", token_url="http://example.com/token")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if frame.filename != __file__]
    assert ours
    assert not any("s3cr3t" in repr(frame.locals) for frame in ours)


def test_pickling_a_session_raises_and_names_what_can_be_pickled() -> None:
    with pytest.raises(TypeError, match="MediaHoundAuth"):
        pickle.dumps(MediaHoundSession("id", "secret"))
