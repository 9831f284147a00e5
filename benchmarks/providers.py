"""`python -m benchmarks.providers`: which providers each package can use; writes providers.md.

Each package gets what its public options can say, headers of its session included. Nothing rewrites
requests or responses. A provider works if two API calls in a row succeed. Ours follow the page
"Providers", in tests/providers; here they are counted from that page.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from provider_emulations import (  # noqa: E402
    ASSERTION,
    CLIENT_ID,
    JWT_BEARER,
    PROVIDERS,
    Emulation,
    Provider,
    slug,
)

PAGE = ROOT / "docs" / "guides" / "providers.md"
RESULTS = Path(__file__).with_name("providers.md")
# Not the header of XSUAA: all packages but ours send Basic credentials as they are.
HEADERS = {
    "Reddit": {"User-Agent": "my-application/1.0"},
    "UPS, for a merchant": {"x-merchant-id": "123456"},
    "Walmart": {"WM_SVC.NAME": "name", "WM_QOS.CORRELATION_ID": "1"},
}


class Wanted(NamedTuple):
    """A provider, and what has to be said to use it."""

    provider: Provider
    token_url: str
    api_url: str
    methods: tuple[str, ...]
    scope: str | None
    parameters: dict[str, str]
    headers: dict[str, str]

    @property
    def fields(self) -> dict[str, str]:
        """The parameters but for the grant type."""
        return {name: v for name, v in self.parameters.items() if name != "grant_type"}

    @property
    def grant_type(self) -> str:
        return self.parameters.get("grant_type", "client_credentials")


def call(wanted: Wanted, session: Any, **options: Any) -> bool:
    """Whether two API calls succeed."""
    headers = {**wanted.provider.api_headers}
    statuses = [
        session.get(wanted.api_url, headers=headers, timeout=5, **options).status_code
        for _ in range(2)
    ]
    return statuses == [200, 200]


def authlib(wanted: Wanted, method: str) -> bool:
    from authlib.integrations.requests_client import OAuth2Session

    def assertion(_client: Any, _method: str, uri: str, headers: Any, body: str) -> Any:
        from urllib.parse import urlencode

        more = {"client_assertion": ASSERTION, "client_assertion_type": JWT_BEARER}
        return uri, headers, f"{body}&{urlencode({'client_id': CLIENT_ID, **more})}"

    session = OAuth2Session(
        CLIENT_ID,
        wanted.provider.client_secret,
        scope=wanted.scope,
        token_endpoint_auth_method=assertion
        if method == "assertion"
        else f"client_secret_{method}",
    )
    session.headers.update(wanted.headers)
    session.fetch_token(wanted.token_url, grant_type=wanted.grant_type, **wanted.fields)
    return call(wanted, session)


def requests_oauthlib(wanted: Wanted, method: str) -> bool:
    from oauthlib.oauth2 import BackendApplicationClient
    from requests.auth import HTTPBasicAuth
    from requests_oauthlib import OAuth2Session

    session = OAuth2Session(client=BackendApplicationClient(CLIENT_ID, scope=wanted.scope))
    session.headers.update(wanted.headers)
    how: dict[str, Any] = {
        "basic": {"auth": HTTPBasicAuth(CLIENT_ID, wanted.provider.client_secret)},
        "post": {"include_client_id": True, "client_secret": wanted.provider.client_secret},
        "assertion": {
            "include_client_id": True,
            "client_assertion": ASSERTION,
            "client_assertion_type": JWT_BEARER,
        },
    }[method]
    session.fetch_token(wanted.token_url, **how, **wanted.parameters)
    return call(wanted, session)


def requests_oauth2client(wanted: Wanted, method: str) -> bool:
    import requests_oauth2client as package

    session = requests.Session()
    session.headers.update(wanted.headers)
    secret = wanted.provider.client_secret
    how: Any = {
        "basic": lambda: package.ClientSecretBasic(CLIENT_ID, secret),
        "post": lambda: package.ClientSecretPost(CLIENT_ID, secret),
        "assertion": lambda: _signed(package),
    }[method]()
    client = package.OAuth2Client(
        wanted.token_url,
        auth=how,
        session=session,
        testing=True,
        dpop_bound_access_tokens=wanted.provider.answer.get("token_type") == "DPoP",
    )
    auth = package.OAuth2ClientCredentialsAuth(client, scope=wanted.scope, **wanted.parameters)
    return call(wanted, requests.Session(), auth=auth)


def _signed(package: Any) -> Any:
    class Signed(package.BaseClientAssertionAuthenticationMethod):  # type: ignore[misc]
        client_id, aud, lifetime, alg = CLIENT_ID, None, 60, "RS256"

        def client_assertion(self, audience: str) -> str:  # noqa: ARG002
            return ASSERTION

    return object.__new__(Signed)


def requests_auth(wanted: Wanted, method: str) -> bool:
    if method != "basic":
        return False  # it has no other
    from requests_auth import OAuth2ClientCredentials

    session = requests.Session()
    session.headers.update(wanted.headers)
    header, form = wanted.provider.token_header
    auth = OAuth2ClientCredentials(
        wanted.token_url,
        CLIENT_ID,
        wanted.provider.client_secret,
        scope=wanted.scope,
        session=session,
        header_name=header,
        header_value=form.replace("%s", "{token}"),
        **wanted.parameters,
    )
    return call(wanted, requests.Session(), auth=auth)


def httpx_auth(wanted: Wanted, method: str) -> bool:
    if method != "basic":
        return False
    import httpx
    from httpx_auth import OAuth2ClientCredentials

    header, form = wanted.provider.token_header
    with httpx.Client(headers=wanted.headers) as client, httpx.Client() as api:
        auth = OAuth2ClientCredentials(
            wanted.token_url,
            CLIENT_ID,
            wanted.provider.client_secret,
            scope=wanted.scope,
            client=client,
            header_name=header,
            header_value=form.replace("%s", "{token}"),
            **wanted.parameters,
        )
        return call(wanted, api, auth=auth)


PEERS: dict[str, Callable[[Wanted, str], bool]] = {
    "Authlib": authlib,
    "requests-oauth2client": requests_oauth2client,
    "requests-oauthlib": requests_oauthlib,
    "requests-auth": requests_auth,
    "httpx-auth": httpx_auth,
}


def page() -> dict[str, dict[str, Any]]:
    """The options of each provider on the page."""
    table = PAGE.read_text(encoding="utf-8").split("<!-- providers -->")[1]
    rows = re.findall(r"^\| ([^|]+) \| `([^`]+)` \|", table.split("<!-- /providers -->")[0], re.M)
    return {name: eval(f"dict({options})", {"sign": None}) for name, options in rows}


def wanted_of(name: str, emulation: Emulation, options: dict[str, Any]) -> Wanted:
    provider = PROVIDERS[name]
    url = urlsplit(options.get("token_url", f"https://x{provider.path}"))
    base = f"{emulation.url}/{slug(name)}"
    return Wanted(
        provider,
        f"{base}{url.path}{'?' if url.query else ''}{url.query}",
        f"{base}/api",
        provider.auth or ("basic", "post"),
        options.get("scope"),
        options.get("parameters", {}),
        HEADERS.get(name, {}),
    )


def works(peer: Callable[[Wanted, str], bool], wanted: Wanted) -> bool:
    for method in wanted.methods:
        try:
            if peer(wanted, method):
                return True
        except Exception as error:
            logging.debug("%s: %r", wanted.token_url, error)
    return False


def main() -> None:
    warnings.simplefilter("ignore")
    for library in ("OAUTHLIB", "AUTHLIB"):
        os.environ[f"{library}_INSECURE_TRANSPORT"] = "1"
    options = page()
    with Emulation().running() as emulation:
        wanted = {name: wanted_of(name, emulation, options.get(name, {})) for name in PROVIDERS}
        able = {
            name: {each for each in PROVIDERS if works(peer, wanted[each])}
            for name, peer in PEERS.items()
        }
    lines = [
        "| package | works |",
        "| --- | ---: |",
        f"| **mediahound-auth** | **{len(options)} of {len(PROVIDERS)}** |",
    ]
    lines += [f"| {name} {version(name)} | {len(each)} |" for name, each in able.items()]
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    for name, each in able.items():
        print(f"{name} not: {', '.join(sorted(PROVIDERS.keys() - each))}")
        print(f"{name} beyond ours: {', '.join(sorted(each - options.keys()))}")


if __name__ == "__main__":
    main()
