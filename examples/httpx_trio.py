"""httpx on trio: the same auth object, nothing to set up."""

import os

import httpx
import trio

from mediahound_auth.httpx import MediaHoundAuth

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")


async def search(client: httpx.AsyncClient, title: str) -> None:
    response = await client.get(f"/1.3/search/all/{title}")
    print(title, response.status_code)


async def main() -> None:
    async with (
        httpx.AsyncClient(auth=MediaHoundAuth(), base_url=api) as client,
        trio.open_nursery() as nursery,
    ):
        for title in ("Gladiator", "Alien", "Brazil", "Heat"):
            nursery.start_soon(search, client, title)


trio.run(main)
