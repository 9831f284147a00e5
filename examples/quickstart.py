"""The package at work, in a few lines: run it with `make demo`."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

import httpx
import requests

import mediahound_auth
from mediahound_auth._core.grant import Grant
from mediahound_auth._core.settings import DEFAULT_TOKEN_URL
from mediahound_auth.httpx import MediaHoundAuth as HttpxAuth
from mediahound_auth.requests import MediaHoundAuth as RequestsAuth
from mediahound_auth.testing import MediaHoundServer

LIFETIME = 5  # seconds; real tokens live for up to two weeks
SEARCH = "/1.3/search/all/Gladiator"


def main() -> None:
    print(f"mediahound-auth {mediahound_auth.__version__}")
    with ExitStack() as stack:
        if os.environ.get("MEDIAHOUND_CLIENT_ID") and os.environ.get("MEDIAHOUND_CLIENT_SECRET"):
            server = None
            api = "https://api.mediahound.com"
            print(f"Your credentials are in the environment, so this talks to {api}.")
        else:
            server = stack.enter_context(MediaHoundServer(lifetime=LIFETIME))
            api = server.url
            os.environ.update(server.environment)
            print(
                "No MEDIAHOUND_CLIENT_ID and MEDIAHOUND_CLIENT_SECRET in the environment, so a\n"
                f"fake MediaHound server runs on this machine, at {api}."
            )
        session = stack.enter_context(requests.Session())
        session.auth = auth = RequestsAuth()
        client = stack.enter_context(httpx.Client(auth=HttpxAuth(), base_url=api))
        tour(server, api, auth, session, client)


def tour(
    server: MediaHoundServer | None,
    api: str,
    auth: RequestsAuth,
    session: requests.Session,
    client: httpx.Client,
) -> None:
    calls = 0

    def show(what: str, call: Callable[[], list[int]]) -> None:
        nonlocal calls
        statuses = call()
        calls += len(statuses)
        so_far = "" if server is None else str(len(server.token_requests))
        print(f"  {what:<54}{' '.join(map(str, statuses)):>13}{so_far:>17}")

    heading("The token request, as it is sent (secret masked)")
    show_grant()

    heading("Calls", "status", "token requests" if server else "")
    show("requests", lambda: [session.get(api + SEARCH).status_code])
    show("httpx", lambda: [client.get(SEARCH).status_code])
    show("httpx on asyncio, three at once", lambda: asyncio.run(three(api)))

    if server is None:
        print("\nExpiry and revocation need the fake server: run this without credentials.")
        return
    heading("Expiry and revocation", "status", "token requests")
    time.sleep(max(0.0, auth.token().expires_at - time.time()))
    show(
        f"after {LIFETIME} s the token has expired: it is replaced first",
        lambda: [session.get(api + SEARCH).status_code],
    )
    server.revoke_tokens()
    show(
        "the token is revoked: the POST is rejected and retried",
        lambda: [client.post("/echo", json={"whole": "body"}).status_code],
    )
    print(f"\n{calls} calls answered, {len(server.token_requests)} token requests.")


def heading(text: str, status: str = "", count: str = "") -> None:
    print(f"\n{text:<56}{status:>13}{count:>17}".rstrip())


def show_grant() -> None:
    mask = "********"
    url = os.environ.get("MEDIAHOUND_TOKEN_URL", DEFAULT_TOKEN_URL)
    request = Grant(os.environ["MEDIAHOUND_CLIENT_ID"], mask, url).request()
    print(f"  POST {request.url}")
    for name, value in request.headers.items():
        print(f"  {name}: {'Basic ' + mask if name == 'Authorization' else value}")
    print(f"\n  {request.body.decode().replace('%2A', '*')}")


async def three(api: str) -> list[int]:
    async with httpx.AsyncClient(auth=HttpxAuth(), base_url=api) as client:
        answers = await asyncio.gather(*(client.get(SEARCH) for _ in range(3)))
    return [answer.status_code for answer in answers]


if __name__ == "__main__":
    logging.basicConfig(level=logging.CRITICAL)  # what goes wrong is told below
    try:
        main()
    except mediahound_auth.MediaHoundAuthError as error:
        sys.exit(f"\n{type(error).__name__}: {error}")
