"""Log records and metrics of renewals, as docs/guides/logging.md lists them."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from pathlib import Path

import httpx
import pytest
from libraries import search
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from watched import ALWAYS, WHO, Records, counted

from mediahound_auth import TokenRequestError
from mediahound_auth import _events as events
from mediahound_auth._adapters.bearer_auth import source_of
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import FileStore
from mediahound_auth.testing import MediaHoundServer

TABLE = (Path(__file__).parents[2] / "docs" / "guides" / "logging.md").read_text(encoding="utf-8")


def test_a_first_token_is_a_token_request_and_a_renewal(
    server: MediaHoundServer, records: Records, reader: InMemoryMetricReader
) -> None:
    search(server, MediaHoundAuth(**server.credentials))
    host = server.url.removeprefix("http://")
    [request], [renewal] = records.of("token_request"), records.of("renewal")
    assert request.keys() == ALWAYS | WHO | {"attempt", "duration", "expires_in"}
    assert renewal.keys() == ALWAYS | WHO | {"attempt", "duration", "expires_in", "background"}
    assert request["client_id"] == renewal["client_id"] == server.client_id
    assert request["server"] == renewal["server"] == host
    assert (request["outcome"], request["attempt"]) == ("issued", 1)
    assert request["expires_in"] == 1_209_600
    assert (renewal["outcome"], renewal["background"]) == ("issued", False)
    assert isinstance(request["duration"], float)
    assert isinstance(renewal["duration"], float)
    assert 0 <= request["duration"] <= renewal["duration"]
    assert counted(reader, server.client_id) == {
        ("token_requests", "issued"): 1,
        ("token_request.duration", "issued"): 1,
    }


def test_metrics_say_what_they_are_and_durations_are_told_apart(
    server: MediaHoundServer, reader: InMemoryMetricReader
) -> None:
    search(server, MediaHoundAuth(**server.credentials))
    data = reader.get_metrics_data()
    assert data is not None
    metrics = {m.name: m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert all(metric.unit and metric.description for metric in metrics.values())
    [point, *_] = metrics["mediahound_auth.token_request.duration"].data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert tuple(point.explicit_bounds) == events.BUCKETS


def test_calls_with_a_valid_token_log_and_count_nothing(
    server: MediaHoundServer, records: Records, reader: InMemoryMetricReader
) -> None:
    auth, same = MediaHoundAuth(**server.credentials), HttpxAuth(**server.credentials)
    auth.token()
    records.of("renewal")
    known, counts = list(records.all), counted(reader, server.client_id)

    async def call() -> None:
        async with httpx.AsyncClient(auth=same) as client:
            await client.get(f"{server.url}/1.3/search/all/Alien")

    for _ in range(3):
        assert search(server, auth) == 200
        httpx.get(f"{server.url}/1.3/search/all/Alien", auth=same)
        asyncio.run(call())
    assert len(server.api_requests) == 9
    assert records.all == known
    assert counted(reader, server.client_id) == counts


def test_each_attempt_of_a_renewal_is_logged(
    server: MediaHoundServer, records: Records, reader: InMemoryMetricReader
) -> None:
    server.respond_to_token_requests(1, status=503)
    server.drop_token_requests(1)
    MediaHoundAuth(**server.credentials).token()
    outcomes = [(request["attempt"], request["outcome"]) for request in records.of("token_request")]
    assert outcomes == [(1, "unavailable"), (2, "unavailable"), (3, "issued")]
    [renewal] = records.of("renewal")
    assert (renewal["attempt"], renewal["outcome"]) == (3, "issued")
    assert counted(reader, server.client_id)["token_requests", "unavailable"] == 2


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"status": 401, "body": {"error": "invalid_client"}}, "invalid_client"),
        ({"status": 400, "body": {"error": "invalid_scope"}}, "error"),
        ({"status": 200, "body": "<html>"}, "invalid_response"),
        ({"status": 503, "headers": {"Retry-After": "3600"}}, "unavailable"),
    ],
    ids=["invalid_client", "error", "invalid_response", "unavailable"],
)
def test_a_failure_has_one_of_a_fixed_set_of_outcomes(
    server: MediaHoundServer,
    records: Records,
    reader: InMemoryMetricReader,
    answer: dict[str, object],
    outcome: str,
) -> None:
    server.respond_to_token_requests(1, **answer)  # type: ignore[arg-type]
    with pytest.raises(TokenRequestError):
        MediaHoundAuth(**server.credentials).token()
    [request], [renewal] = records.of("token_request"), records.of("renewal")
    assert request["outcome"] == renewal["outcome"] == outcome
    assert renewal.keys() == ALWAYS | WHO | {"attempt", "duration", "background"}
    assert [record.levelname for record in records.all] == ["DEBUG", "WARNING"]
    assert counted(reader, server.client_id)["token_requests", outcome] == 1


def test_a_client_secret_callable_that_fails_is_a_failed_renewal_without_a_token_request(
    server: MediaHoundServer, records: Records
) -> None:
    auth = MediaHoundAuth(server.client_id, lambda: "", token_url=server.token_url)
    with pytest.raises(ValueError, match="client_secret callable"):
        auth.token()
    [renewal] = records.of("renewal")
    assert renewal["outcome"] == "configuration"
    assert renewal["attempt"] == 0
    assert len(records.all) == 1


def test_with_a_secret_from_a_callable_each_event_is_logged_once(
    server: MediaHoundServer, records: Records
) -> None:
    auth = MediaHoundAuth(server.client_id, lambda: "wrong", token_url=server.token_url)
    with pytest.raises(TokenRequestError):
        auth.token()
    right = MediaHoundAuth(
        server.client_id, lambda: server.client_secret, token_url=server.token_url
    )
    right.token()
    assert [renewal["outcome"] for renewal in records.of("renewal", 2)] == [
        "invalid_client",
        "issued",
    ]


def test_a_renewal_without_waiting_callers_counts_as_background(
    server: MediaHoundServer, records: Records, reader: InMemoryMetricReader
) -> None:
    auth = MediaHoundAuth(**server.credentials)
    auth.token()
    shared = source_of(auth).shared
    shared.state = shared.state._replace(renew_at=0.0)  # it is due for renewal
    assert search(server, auth) == 200
    renewal = records.of("renewal", 2)[-1]
    assert (renewal["outcome"], renewal["background"]) == ("same_token", True)
    assert counted(reader, server.client_id)["renewals", "same_token"] == 1


def test_a_background_renewal_that_fails_is_logged_and_counted(
    server: MediaHoundServer, records: Records, reader: InMemoryMetricReader
) -> None:
    auth = MediaHoundAuth(**server.credentials)
    auth.token()
    source_of(auth).shared.state = source_of(auth).shared.state._replace(renew_at=0.0)
    server.respond_to_token_requests(1, status=400, body={"error": "invalid_request"})
    assert search(server, auth) == 200
    renewal = records.of("renewal", 2)[-1]
    assert (renewal["outcome"], renewal["background"]) == ("error", True)
    assert counted(reader, server.client_id)["renewals", "error"] == 1


def test_a_token_found_in_the_store_is_a_renewal_without_a_token_request(
    server: MediaHoundServer, records: Records, tmp_path: Path
) -> None:
    MediaHoundAuth(**server.credentials, store=FileStore(tmp_path / "one")).token()
    records.of("renewal")
    records.all.clear()
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    store = FileStore(tmp_path / "two")  # what is in there, this process does not know yet
    MediaHoundAuth(**server.credentials, store=store).token()
    [renewal] = records.of("renewal")
    assert (renewal["outcome"], renewal["attempt"]) == ("from_store", 0)
    assert len(records.all) == 1


def test_a_log_handler_that_raises_breaks_no_renewal(server: MediaHoundServer) -> None:
    class Wrong(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError(record.msg)

    log, wrong = logging.getLogger("mediahound_auth"), Wrong()
    level = log.level
    log.addFilter(wrong)
    log.setLevel(logging.DEBUG)
    try:
        assert search(server, MediaHoundAuth(**server.credentials)) == 200
    finally:
        log.removeFilter(wrong)
        log.setLevel(level)


def test_the_table_names_every_event_outcome_field_and_metric() -> None:
    source = Path(events.__file__).read_text(encoding="utf-8")
    words = set(re.findall(r'"([a-z_]+(?:\.[a-z]+)?)"', source.split("OUTCOMES: ")[1]))
    words |= set(events.FIELDS)
    documented = set(re.findall(r"`(?:mediahound_auth\.)?([a-z_]+(?:\.[a-z]+)?)`", TABLE))
    not_in_it = words - documented - {"mediahound_auth", "opentelemetry.metrics", "s"}
    not_in_it -= {"explicit_bucket_boundaries_advisory"}
    assert not not_in_it


def test_the_example_of_the_page_is_a_format_that_every_record_fills(records: Records) -> None:
    code, *_ = re.findall(r"```python\n(.*?)```", TABLE, re.DOTALL)
    [pattern] = re.findall(r'Formatter\("(.*)"\)', code)
    events.store_permissions_fixed(Path("/some/folder"), 0o755)
    text = logging.Formatter(pattern).format(records.all[-1])
    assert " store permissions_fixed None /some/folder was accessible to other users" in text
