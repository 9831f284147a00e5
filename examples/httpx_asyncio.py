"""httpx on asyncio: many calls at once, one token request, and an event loop that never waits."""

import asyncio

import httpx
from where import mediahound

from mediahound_auth.httpx import MediaHoundAuth


async def main(api: str) -> None:
    async with httpx.AsyncClient(auth=MediaHoundAuth(), base_url=api) as client:
        titles = ["Gladiator", "Alien", "Brazil", "Heat"]
        answers = await asyncio.gather(*(client.get(f"/1.3/search/all/{t}") for t in titles))
        print([answer.status_code for answer in answers])


with mediahound() as api:
    asyncio.run(main(api))
