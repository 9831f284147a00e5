"""A fake MediaHound server on loopback, and other help for tests without a network.

```python
import requests
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

with MediaHoundServer() as server:
    auth = MediaHoundAuth(**server.credentials)
    requests.get(f"{server.url}/1.3/search/all/Gladiator", auth=auth).raise_for_status()
    assert len(server.token_requests) == 1
```
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mediahound_auth._core.grant import ClientAuth
    from mediahound_auth.testing.contract import StoreContract
    from mediahound_auth.testing.server import Credentials, MediaHoundServer
    from mediahound_auth.testing.static import static_auth
    from mediahound_auth.testing.traffic import HeldRequests, ReceivedRequest

__all__ = [
    "ClientAuth",
    "Credentials",
    "HeldRequests",
    "MediaHoundServer",
    "ReceivedRequest",
    "StoreContract",
    "static_auth",
]

# Imported on first use: pytest imports this package in every run, for its plugin.
_MODULES = {
    "ClientAuth": "mediahound_auth._core.grant",
    "Credentials": "mediahound_auth.testing.server",
    "HeldRequests": "mediahound_auth.testing.traffic",
    "MediaHoundServer": "mediahound_auth.testing.server",
    "ReceivedRequest": "mediahound_auth.testing.traffic",
    "StoreContract": "mediahound_auth.testing.contract",
    "static_auth": "mediahound_auth.testing.static",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
