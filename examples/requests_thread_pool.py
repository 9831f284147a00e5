"""requests: one auth object for many threads, and one token request between them."""

from concurrent.futures import ThreadPoolExecutor

import requests
from where import mediahound

from mediahound_auth.requests import MediaHoundAuth

with mediahound() as api, ThreadPoolExecutor(16) as pool:
    auth = MediaHoundAuth()

    def search(title: str) -> int:
        return requests.get(f"{api}/1.3/search/all/{title}", auth=auth, timeout=10).status_code

    print(list(pool.map(search, ["Gladiator", "Alien", "Brazil", "Heat"] * 4)))
