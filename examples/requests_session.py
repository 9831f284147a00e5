"""requests: a session whose every call carries a live token."""

import requests
from where import mediahound

from mediahound_auth.requests import MediaHoundAuth

with mediahound() as api, requests.Session() as session:
    session.auth = MediaHoundAuth()  # MEDIAHOUND_CLIENT_ID and MEDIAHOUND_CLIENT_SECRET
    for title in ("Gladiator", "Alien"):
        response = session.get(f"{api}/1.3/search/all/{title}")
        response.raise_for_status()
        print(title, response.json()["results"])
