"""Each constructor call on the page "Providers" works against what that provider has documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pages
import pytest
import requests
from libraries import HTTPX, HTTPX_ASYNC, REQUESTS, WITHOUT_HTTPX2, Library
from provider_emulations import (
    ASSERTION,
    CLIENT_ID,
    IMPOSSIBLE,
    PROVIDERS,
    Emulation,
    slug,
)

from mediahound_auth import (
    InvalidTokenResponse,
    MediaHoundAuthError,
    MemoryStore,
    TokenRequestError,
)

PAGE = pages.ROOT / "docs" / "guides" / "providers.md"
ROWS = re.findall(
    r"^\| (?P<name>[^|]+) \| `(?P<call>[^`]+)` \|",
    PAGE.read_text(encoding="utf-8").split("<!-- providers -->")[1].split("<!-- /providers -->")[0],
    re.MULTILINE,
)
# Those that need a header in the token request, which a recipe on the page adds.
WITH_HEADERS = {
    "Reddit": {"User-Agent": "my-application/1.0"},
    "SAP XSUAA, with Basic": {"X-CF-ENCODED-CREDENTIALS": "true"},
    "UPS, for a merchant": {"x-merchant-id": "123456"},
}
# The parts of the page's recipes that differ, by library.
RECIPES = {REQUESTS: "class MerchantAdapter", HTTPX: "class MerchantTransport"}


@pytest.fixture(scope="module")
def emulation() -> Iterator[Emulation]:
    with Emulation().running() as emulation:
        yield emulation


def options_for(name: str, call: str, emulation: Emulation) -> dict[str, Any]:
    """What the page says, with the emulation for the provider; its API is there, too."""
    options: dict[str, Any] = {
        "client_id": CLIENT_ID,
        "client_secret": PROVIDERS[name].client_secret,
        **eval(f"dict({call})", {"sign": lambda: ASSERTION}),
    }
    url = urlsplit(options["token_url"])
    assert url.scheme == "https"
    query = f"?{url.query}" if url.query else ""
    options["token_url"] = f"{emulation.url}/{slug(name)}{url.path}{query}"
    options["store"] = MemoryStore()
    return options


def own(library: Library, headers: dict[str, str]) -> Any:
    """`session=` or `client=` as the page's recipe makes it, with these headers."""
    key = REQUESTS if library is REQUESTS else HTTPX
    codes = [block.code for block in pages.blocks(PAGE)]
    code = next(code for code in codes if RECIPES[key] in code)
    lines = [
        f'        request.headers["{header}"] = "{value}"' for header, value in headers.items()
    ]
    code = re.sub(r"(        request\.headers\[.*\n)+", "\n".join(lines) + "\n", code)
    namespace: dict[str, Any] = {
        "requests": requests,
        "MediaHoundAuth": REQUESTS.MediaHoundAuth,
        "MemoryStore": MemoryStore,
    }
    exec(code, namespace)
    made = namespace["auth"]._transport
    return {"session": made} if library is REQUESTS else {"client": made}


@pytest.mark.parametrize("library", WITHOUT_HTTPX2, indirect=True, ids=str)
@pytest.mark.parametrize(("name", "call"), ROWS, ids=[name for name, _ in ROWS])
def test_the_call_on_the_page_gets_a_token_that_the_api_accepts(
    name: str, call: str, library: Library, emulation: Emulation
) -> None:
    options = options_for(name, call, emulation)
    if name in WITH_HEADERS:
        options |= own(library, WITH_HEADERS[name])
    auth = library.MediaHoundAuth(**options)
    url = f"{emulation.url}/{slug(name)}/api"
    for _ in range(2):
        response = library.request("GET", url, auth=auth, headers=PROVIDERS[name].api_headers)
        assert response.status_code == 200
    paths = [request.path for request in emulation.requests[-3:]]
    assert [path.endswith("/api") for path in paths] == [False, True, True]


def test_the_page_has_all_providers_but_those_it_calls_impossible() -> None:
    names = [name for name, _ in ROWS]
    assert names == sorted(names, key=str.lower)
    assert {*names, *IMPOSSIBLE} == PROVIDERS.keys()
    measured = (pages.ROOT / "benchmarks" / "providers.md").read_text(encoding="utf-8")
    assert f"| **mediahound-auth** | **{len(ROWS)} of {len(PROVIDERS)}** |" in measured
    assert (len(ROWS), len(PROVIDERS)) == (42, 49)
    impossible = PAGE.read_text(encoding="utf-8").split("These do not work:")[1]
    for name in IMPOSSIBLE:
        assert name.lower() in impossible.split("\n## ")[0].lower()


def test_the_emulations_are_strict(emulation: Emulation) -> None:
    """Without one of the options that the page has for a provider, there is no token."""
    for name, call in ROWS:
        options = options_for(name, call, emulation)
        provider = PROVIDERS[name]
        needed = {"parameters"} & options.keys() | {"scope"} & provider.fields.keys()
        if not provider.in_query and not callable(options["client_secret"]):
            needed |= {"client_auth"}  # the one that reads the query finds the credentials twice
        for option in needed:
            fewer = {key: value for key, value in options.items() if key != option}
            auth = REQUESTS.MediaHoundAuth(**fewer)
            with pytest.raises(TokenRequestError):
                pytest.fail(f"{name} without {option}: {auth.token()}")


def test_an_emulation_is_at_its_path_only(emulation: Emulation) -> None:
    options = options_for("Okta", dict(ROWS)["Okta"], emulation)
    options["token_url"] = options["token_url"].replace("/default", "")
    with pytest.raises(InvalidTokenResponse, match="Not Found"):
        REQUESTS.MediaHoundAuth(**options).token()


@pytest.mark.parametrize("name", sorted(WITH_HEADERS.keys() - {"Reddit"}))
def test_a_missing_header_of_a_provider_is_an_error(name: str, emulation: Emulation) -> None:
    auth = REQUESTS.MediaHoundAuth(**options_for(name, dict(ROWS)[name], emulation))
    with pytest.raises(MediaHoundAuthError):
        auth.token()


@pytest.mark.parametrize("library", [REQUESTS, HTTPX, HTTPX_ASYNC], indirect=True, ids=str)
def test_objects_that_differ_in_a_header_share_no_token(
    library: Library, emulation: Emulation
) -> None:
    name = "UPS, for a merchant"
    tokens = set()
    for merchant in ("123456", "654321"):
        options = options_for(name, dict(ROWS)[name], emulation)  # with a store of its own
        auth = library.MediaHoundAuth(**options, **own(library, {"x-merchant-id": merchant}))
        tokens.add(library.token(auth).access_token)
        assert emulation.requests[-1].headers["x-merchant-id"] == merchant
    assert len(tokens) == 2


@pytest.mark.parametrize("name", IMPOSSIBLE)
@pytest.mark.parametrize("client_auth", ["client_secret_basic", "client_secret_post"])
def test_each_provider_that_is_listed_as_impossible_is_impossible(
    name: str, client_auth: str, emulation: Emulation
) -> None:
    call = f"token_url='https://x{PROVIDERS[name].path}', client_auth={client_auth!r}"
    auth = REQUESTS.MediaHoundAuth(**options_for(name, call, emulation))
    with pytest.raises(requests.RequestException) as caught:
        requests.get(f"{emulation.url}/{slug(name)}/api", auth=auth, timeout=9).raise_for_status()
    if name == "Shopify" and client_auth == "client_secret_post":
        assert "401 Client Error" in str(caught.value), "the API looks for the token elsewhere"
    else:
        assert isinstance(caught.value, TokenRequestError)
