"""requests-oauthlib: an OAuth2Session that fetches and renews its token by itself."""

from where import mediahound

from mediahound_auth.oauth2session import MediaHoundSession

kept: list[dict[str, object]] = []

with mediahound() as api, MediaHoundSession(token_updater=kept.append) as session:
    for title in ("Gladiator", "Alien"):
        response = session.get(f"{api}/1.3/search/all/{title}")
        print(title, response.json()["results"])
    print("authorized:", session.authorized, "- tokens kept:", len(kept))
