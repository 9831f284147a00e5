"""httpx on asyncio: many calls at once make one token request, and do not block the event loop."""

import asyncio
import os

import httpx

from mediahound_auth.httpx import MediaHoundAuth

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")


async def main() -> None:
    async with httpx.AsyncClient(auth=MediaHoundAuth(), base_url=api) as client:
        titles = ["Gladiator", "Alien", "Brazil", "Heat"]
        responses = await asyncio.gather(*(client.get(f"/1.3/search/all/{t}") for t in titles))
        print([response.status_code for response in responses])


asyncio.run(main())
