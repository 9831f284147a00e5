"""Log records and metrics of calls, stores and origins, as docs/guides/logging.md lists them."""

from __future__ import annotations

from pathlib import Path

import pytest
from libraries import Library, search
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from watched import ALWAYS, WHO, Records, counted

from mediahound_auth import MemoryStore, Token
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.stores import FileStore
from mediahound_auth.testing import MediaHoundServer


@pytest.mark.parametrize(
    ("status", "outcome"), [(None, "accepted"), (401, "rejected"), (500, "server_error")]
)
def test_a_retry_is_logged_and_counted(
    server: MediaHoundServer,
    records: Records,
    reader: InMemoryMetricReader,
    library: Library,
    status: int | None,
    outcome: str,
) -> None:
    auth = library.auth(server)
    auth.token()
    server.revoke_tokens()
    server.respond_to_api_requests(1, status=401)
    if status:
        server.respond_to_api_requests(1, status=status)
    got = library.get(f"{server.url}/1.3/search/all/Alien", auth).status_code
    assert got == (status or 200)
    retry, *warnings = records.of("retry")
    assert len(warnings) == (status == 401)  # a new token was rejected
    assert retry.keys() == ALWAYS | WHO
    assert retry["outcome"] == outcome
    assert counted(reader, server.client_id)["retries", outcome] == 1


class Broken(MemoryStore):
    """A store that can be told to fail."""

    broken = True

    def load(self, key: str) -> Token | None:
        if self.broken:
            raise ConnectionError("no route to it")
        return super().load(key)

    def discard(self, key: str) -> None:
        if self.broken:
            raise ConnectionError("no route to it")
        super().discard(key)


def test_an_outage_of_the_store_is_reported_when_it_begins_and_ends(
    server: MediaHoundServer, records: Records, reader: InMemoryMetricReader
) -> None:
    store = Broken()
    auth = MediaHoundAuth(**server.credentials, store=store)
    auth.token()
    auth.forget()
    auth.token()
    store.broken = False
    auth.renew()
    failed, recovered = records.of("store", 2)
    assert failed.keys() == ALWAYS | WHO | {"operation"}
    assert (failed["outcome"], failed["operation"]) == ("failed", "load")
    assert recovered["outcome"] == "recovered"
    assert counted(reader, server.client_id)["store_failures", "load"] == 2
    assert counted(reader, server.client_id)["store_failures", "discard"] == 1


def test_an_exposed_folder_and_a_withheld_token_are_logged(
    server: MediaHoundServer, records: Records, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    auth = MediaHoundAuth(**server.credentials, store=FileStore(tmp_path))
    with MediaHoundServer() as elsewhere:
        search(elsewhere, auth)
        [refused] = records.of("origin")
        assert refused.keys() == ALWAYS | WHO | {"origin"}
        assert (refused["outcome"], refused["origin"]) == ("not_allowed", elsewhere.url)
    auth.token()
    [exposed] = records.of("store")
    assert exposed == {"event": "store", "outcome": "permissions_fixed"}
