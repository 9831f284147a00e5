"""stamina, which repeats what fails: its switches work, and what it tells holds no secret."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Callable, Iterator

import pytest
import stamina
from libraries import assert_no_secret
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

import mediahound_auth as mh
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

Kind = type[RequestsAuth] | type[HttpxAuth]
BOTH = pytest.mark.parametrize("kind", [RequestsAuth, HttpxAuth], ids=["requests", "httpx"])


@pytest.fixture
def _stamina_as_it_was() -> Iterator[None]:
    yield
    stamina.set_active(True)
    stamina.set_testing(False)
    set_on_retry_hooks(None)


@pytest.mark.usefixtures("_stamina_as_it_was")
@pytest.mark.parametrize(
    ("switch", "attempts"),
    [(lambda: stamina.set_active(False), 1), (lambda: stamina.set_testing(True, attempts=4), 4)],
    ids=["inactive", "testing"],
)
def test_staminas_global_switches_work(
    switch: Callable[[], object], attempts: int, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(math.inf, status=503)
    switch()
    with pytest.raises(mh.TokenEndpointUnavailable):
        RequestsAuth(**server.credentials).token()
    assert len(server.token_requests) == attempts


@BOTH
@pytest.mark.usefixtures("_stamina_as_it_was")
def test_staminas_instrumentation_sees_the_retries_and_no_secret(
    kind: Kind, server: MediaHoundServer, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[RetryDetails] = []
    texts = []

    def hook(details: RetryDetails) -> None:
        seen.append(details)
        cause = traceback.TracebackException.from_exception(details.caused_by, capture_locals=True)
        texts.extend([repr(details), *cause.format()])

    set_on_retry_hooks([hook, stamina.instrumentation.LoggingOnRetryHook])
    caplog.set_level(logging.DEBUG)
    server.respond_to_token_requests(1, status=503)
    server.drop_token_requests(1)
    kind(**server.credentials).token()
    assert [details.retry_num for details in seen] == [1, 2]
    assert "stamina.retry_scheduled" in caplog.text
    assert_no_secret("".join([*texts, caplog.text]), server)
