"""The pytest plugin of this package: the fixture `mediahound_server`.

pytest imports this module in every run, so it imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mediahound_auth.testing import MediaHoundServer

__all__ = ["mediahound_server"]


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "mediahound_server(**options): options of MediaHoundServer for the fixture of that name",
    )


@pytest.fixture
def mediahound_server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MediaHoundServer]:
    """Run a fake MediaHound server, with its credentials in the environment.

    `MediaHoundAuth()` reads them. Each test gets a new client ID, so that no test finds the token
    of another one. The marker `@pytest.mark.mediahound_server(lifetime=60)` sets options.
    """
    import uuid

    from mediahound_auth.testing import MediaHoundServer

    marker = request.node.get_closest_marker("mediahound_server")
    args, given = (marker.args, marker.kwargs) if marker else ((), {})
    options = {"client_id": f"client-{uuid.uuid4()}", **given}
    with MediaHoundServer(*args, **options) as server:  # raises TypeError for args
        for variable, value in server.environment.items():
            monkeypatch.setenv(variable, value)
        yield server
