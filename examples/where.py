"""Where the examples run: against MediaHound with your credentials, else against a stand-in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from mediahound_auth.testing import MediaHoundServer


@contextmanager
def mediahound() -> Iterator[str]:
    """The API's base URL, with the credentials for it in the environment."""
    if "MEDIAHOUND_CLIENT_ID" in os.environ and "MEDIAHOUND_CLIENT_SECRET" in os.environ:
        yield "https://api.mediahound.com"
        return
    with MediaHoundServer() as server:
        os.environ.update(server.environment)
        try:
            yield server.url
        finally:
            for name in server.environment:
                del os.environ[name]
