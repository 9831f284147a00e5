"""httpx on trio: the same auth object, nothing to set up."""

import httpx
import trio
from where import mediahound

from mediahound_auth.httpx import MediaHoundAuth


async def main(api: str) -> None:
    async with (
        httpx.AsyncClient(auth=MediaHoundAuth(), base_url=api) as client,
        trio.open_nursery() as nursery,
    ):

        async def search(title: str) -> None:
            answer = await client.get(f"/1.3/search/all/{title}")
            print(title, answer.status_code)

        for title in ("Gladiator", "Alien", "Brazil", "Heat"):
            nursery.start_soon(search, title)


with mediahound() as api:
    trio.run(main, api)
