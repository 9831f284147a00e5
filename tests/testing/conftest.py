"""The fake server, as those get it who give it no options."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mediahound_auth.testing import MediaHoundServer


@pytest.fixture
def server() -> Iterator[MediaHoundServer]:
    with MediaHoundServer() as server:
        yield server
