"""`mediahound-auth demo`: show the package at work, against a fake server."""

from __future__ import annotations

import requests

from mediahound_auth.errors import InvalidClientError
from mediahound_auth.requests import MediaHoundAuth
from mediahound_auth.testing import MediaHoundServer

__all__ = ["demo"]


def demo() -> None:
    """Make a few calls, some with failures, and print the number of token requests."""
    with MediaHoundServer() as server, requests.Session() as session:
        print(f"A fake MediaHound server runs at {server.url}.\n")
        print(f"  {'':<50}{'status':>9}{'token requests':>17}")
        session.auth = MediaHoundAuth(**server.credentials)

        def show(what: str) -> None:
            status = session.get(f"{server.url}/1.3/search/all/Gladiator", timeout=30).status_code
            print(f"  {what:<50}{status:>9}{len(server.token_requests):>17}")

        show("the first call requests a token")
        show("the second one uses it")
        server.revoke_tokens()
        show("the token was revoked: new token, call retried")
        server.expire_tokens()
        server.respond_to_token_requests(1, status=503)
        show("it expired, and the token endpoint fails once")
        print("\nA wrong secret is one clear error and one token request:")
        session.auth = MediaHoundAuth(server.client_id, "wrong", token_url=server.token_url)
        try:
            show("")
        except InvalidClientError as error:
            print(f"  {error}")
