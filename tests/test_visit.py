"""A renewal's dealings with a store, where only the order of two of them matters."""

from __future__ import annotations

import logging

import pytest

from mediahound_auth import MemoryStore, Token
from mediahound_auth.grant import Grant
from mediahound_auth.visit import Health, Visit


class Gone(MemoryStore):
    """A store that cannot be reached."""

    def load(self, key: str) -> Token | None:
        raise ConnectionError(key)


def test_a_visit_that_ends_well_during_an_outage_does_not_end_the_outage(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "mediahound_auth")
    health = Health(Grant("id", "secret", "https://localhost/token"))
    with Visit(MemoryStore(), "key", health) as begun_before:
        begun_before.load()
        with Visit(Gone(), "key", health) as visit:
            assert visit.load() is None
    with Visit(Gone(), "key", health) as visit:
        assert visit.load() is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    with Visit(MemoryStore(), "key", health) as visit:
        visit.load()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
