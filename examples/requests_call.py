"""requests: `auth=` of single calls. A new auth object each time still means one token."""

import requests
from where import mediahound

from mediahound_auth.requests import MediaHoundAuth

with mediahound() as api:
    for title in ("Gladiator", "Alien"):
        response = requests.get(f"{api}/1.3/search/all/{title}", auth=MediaHoundAuth(), timeout=10)
        response.raise_for_status()
        print(title, response.json()["results"])
