"""Processes, servers and runtimes."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _keys(request: pytest.FixtureRequest) -> None:
    """Programs share stores with tests, but for those that are servers."""
    if "oauth_servers" not in request.path.stem:
        request.getfixturevalue("real_keys")
