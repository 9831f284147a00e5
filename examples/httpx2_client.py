"""httpx2: a client whose every call carries a live token."""

import httpx2
from where import mediahound

from mediahound_auth.httpx2 import MediaHoundAuth

with mediahound() as api, httpx2.Client(auth=MediaHoundAuth(), base_url=api) as client:
    for title in ("Gladiator", "Alien"):
        response = client.get(f"/1.3/search/all/{title}").raise_for_status()
        print(title, response.json()["results"])
