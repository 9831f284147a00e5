"""Another OAuth server than MediaHound's: its token endpoint, its form, and where its API is."""

import requests

from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

with MediaHoundServer(client_auth="client_secret_basic") as server:  # most servers are like that
    auth = MediaHoundAuth(
        server.client_id,
        server.client_secret,
        token_url=server.token_url,
        client_auth="client_secret_basic",
        scope="public_profile",
    )
    response = requests.get(f"{server.url}/1.3/search/all/Gladiator", auth=auth, timeout=30)
    print("HTTP", response.status_code, "with a token for", auth.token().scope)
