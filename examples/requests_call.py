"""requests: `auth=` of single calls. Auth objects with the same credentials share one token."""

import os

import requests

from mediahound_auth.requests import MediaHoundAuth

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")

for title in ("Gladiator", "Alien"):
    response = requests.get(f"{api}/1.3/search/all/{title}", auth=MediaHoundAuth(), timeout=10)
    response.raise_for_status()
    print(title, response.json()["results"])
