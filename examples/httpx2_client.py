"""httpx2: a client whose calls all carry a valid token."""

import os

import httpx2

from mediahound_auth.httpx2 import MediaHoundAuth

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")

with httpx2.Client(auth=MediaHoundAuth(), base_url=api) as client:
    for title in ("Gladiator", "Alien"):
        response = client.get(f"/1.3/search/all/{title}").raise_for_status()
        print(title, response.json()["results"])
