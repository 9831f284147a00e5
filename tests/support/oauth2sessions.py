"""Calls with a MediaHoundSession."""

from __future__ import annotations

from typing import Any

from mediahound_auth.oauth2session import MediaHoundSession
from mediahound_auth.testing import MediaHoundServer


def search(session: MediaHoundSession, server: MediaHoundServer, **options: Any) -> int:
    """The status of a call to the API."""
    url = f"{server.url}/1.3/search/all/Gladiator"
    return int(session.get(url, timeout=10, **options).status_code)
