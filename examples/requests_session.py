"""requests: a session whose calls all carry a valid token."""

import os

import requests

from mediahound_auth.requests import MediaHoundAuth

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")

with requests.Session() as session:
    session.auth = MediaHoundAuth()  # MEDIAHOUND_CLIENT_ID and MEDIAHOUND_CLIENT_SECRET
    for title in ("Gladiator", "Alien"):
        response = session.get(f"{api}/1.3/search/all/{title}", timeout=10)
        response.raise_for_status()
        print(title, response.json()["results"])
