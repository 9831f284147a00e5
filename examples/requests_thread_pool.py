"""requests: one auth object for many threads, which make one token request together."""

import os
from concurrent.futures import ThreadPoolExecutor

import requests

from mediahound_auth.requests import MediaHoundAuth

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")
auth = MediaHoundAuth()


def search(title: str) -> int:
    return requests.get(f"{api}/1.3/search/all/{title}", auth=auth, timeout=10).status_code


with ThreadPoolExecutor(16) as pool:
    print(list(pool.map(search, ["Gladiator", "Alien", "Brazil", "Heat"] * 4)))
