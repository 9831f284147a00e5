"""A MediaHound on loopback, to test programs that use mediahound-auth without the network.

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

from mediahound_auth.grant import ClientAuth
from mediahound_auth.testing.contract import StoreContract
from mediahound_auth.testing.server import Credentials, MediaHoundServer
from mediahound_auth.testing.static import static_auth
from mediahound_auth.testing.traffic import Hold, ReceivedRequest

__all__ = [
    "ClientAuth",
    "Credentials",
    "Hold",
    "MediaHoundServer",
    "ReceivedRequest",
    "StoreContract",
    "static_auth",
]
