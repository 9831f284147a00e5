"""requests-oauthlib: an OAuth2Session that requests and renews its token by itself."""

import os

from mediahound_auth.oauth2session import MediaHoundSession

api = os.environ.get("MEDIAHOUND_API_URL", "https://api.mediahound.com")
kept: list[dict[str, object]] = []

with MediaHoundSession(token_updater=kept.append) as session:
    for title in ("Gladiator", "Alien"):
        response = session.get(f"{api}/1.3/search/all/{title}")
        print(title, response.json()["results"])
    print("authorized:", session.authorized, "- tokens kept:", len(kept))
