"""Token endpoints of providers, as their documentation or public clients have it, on one port.

`/SLUG/...` is the provider with that slug: its token endpoint at the documented path, and an API at
`/SLUG/api`. The page "Providers" has the constructor call for each; `PROVIDERS` has the same names.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from mediahound_auth.testing.listener import Listener
from mediahound_auth.testing.traffic import Answer, ReceivedRequest

CLIENT_ID = "MyClientId"
CLIENT_SECRET = "MyClientSecret"
ASSERTION = "a.signed.jwt"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class Provider(NamedTuple):
    """What one token endpoint demands and returns.

    Attributes:
        path: the documented path; a word in capitals stands for the user's own.
        auth: the methods it accepts: "basic", "post" or "assertion".
        fields: further form fields that it demands, with patterns for the values.
        optional: further form fields that it accepts.
        answer: what it returns beside the token.
        headers: what a token request must carry.
        api_headers: what an API request must carry besides the token.
        token_header: what carries the token to the API, with "%s" for it.
        client_secret: the secret, if that matters.
        decodes_with: the header that makes it decode Basic credentials; "" if it always does.
        media_type: of the token request.
        in_query: it reads the query of the token URL, and no form.
    """

    path: str
    auth: tuple[str, ...]
    fields: Mapping[str, str] = {}
    optional: tuple[str, ...] = ("scope",)
    answer: Mapping[str, object] = {"token_type": "Bearer", "expires_in": 3600}
    headers: Mapping[str, str] = {}
    api_headers: Mapping[str, str] = {}
    token_header: tuple[str, str] = ("Authorization", "Bearer %s")
    client_secret: str = CLIENT_SECRET
    decodes_with: str = ""
    media_type: str = "application/x-www-form-urlencoded"
    in_query: bool = False


BASIC, POST, EITHER, ASSERTED = ("basic",), ("post",), ("basic", "post"), ("assertion",)
ENTRA = {"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599}
KEYCLOAK = {
    "expires_in": 300,
    "refresh_expires_in": 0,
    "token_type": "Bearer",
    "not-before-policy": 0,
    "scope": "email profile",
}
TWITCH = {"expires_in": 5_011_271, "token_type": "bearer"}
FEDEX = {"token_type": "bearer", "expires_in": 3599, "scope": "CXS-TP"}
UPS = {
    "token_type": "Bearer",
    "issued_at": "1700000000000",
    "client_id": CLIENT_ID,
    "expires_in": "14399",
    "status": "approved",
}
XSUAA = {"token_type": "bearer", "expires_in": 43_199, "scope": "uaa.resource", "jti": "1d2c"}
ODD_SECRET = "a!b+c/d=e"

# By their names on the page "Providers".
PROVIDERS: dict[str, Provider] = {
    "Adobe IMS": Provider(
        "/ims/token/v3",
        POST,
        {"scope": "openid,AdobeID,read_organizations"},
        answer={"token_type": "bearer", "expires_in": 86_399},
        api_headers={"x-api-key": CLIENT_ID},
    ),
    "Amadeus": Provider(
        "/v1/security/oauth2/token",
        POST,
        optional=(),
        answer={
            "type": "amadeusOAuth2Token",
            "username": "me@example.com",
            "application_name": "app",
            "client_id": CLIENT_ID,
            "token_type": "Bearer",
            "expires_in": 1799,
            "state": "approved",
            "scope": "",
        },
    ),
    "Apigee": Provider(
        "/oauth/client_credential/accesstoken",
        EITHER,
        answer={
            "issued_at": "1700000000000",
            "scope": "READ",
            "api_product_list": "[p]",
            "expires_in": "3599",
            "developer.email": "me@example.com",
            "organization_id": "0",
            "token_type": "BearerToken",
            "client_id": CLIENT_ID,
            "organization_name": "org",
            "refresh_token_expires_in": "0",
            "refresh_count": "0",
            "status": "approved",
        },
    ),
    "Atlassian service account": Provider("/oauth/token", POST),
    "Auth0": Provider(
        "/oauth/token",
        EITHER,
        {"audience": "https://.*"},
        answer={"token_type": "Bearer", "expires_in": 86_400, "scope": "read:things"},
    ),
    "Auth0, for an organization": Provider(
        "/oauth/token",
        EITHER,
        {"audience": "https://.*", "organization": "org_.*"},
        answer={"token_type": "Bearer", "expires_in": 86_400},
    ),
    "AWS Cognito": Provider("/oauth2/token", BASIC),
    "Azure AD v1": Provider(
        "/TENANT/oauth2/token",
        POST,
        {"resource": "https://.*"},
        optional=(),
        answer={
            "token_type": "Bearer",
            "expires_in": "3599",
            "ext_expires_in": "3599",
            "expires_on": "1700003599",
            "not_before": "1699999999",
            "resource": "https://management.azure.com/",
        },
    ),
    "Blizzard": Provider("/token", BASIC, answer={"token_type": "bearer", "expires_in": 86_399}),
    "Box": Provider(
        "/oauth2/token",
        POST,
        {"box_subject_type": "enterprise|user", "box_subject_id": "[0-9]+"},
        optional=(),
        answer={"expires_in": 4123, "restricted_to": [], "token_type": "bearer"},
    ),
    "Copernicus Data Space": Provider(
        "/auth/realms/CDSE/protocol/openid-connect/token", EITHER, answer=KEYCLOAK
    ),
    "Databricks": Provider(
        "/oidc/v1/token",
        BASIC,
        {"scope": "all-apis"},
        answer={"token_type": "Bearer", "expires_in": 3600, "scope": "all-apis"},
    ),
    "Dynatrace": Provider(
        "/sso/oauth2/token",
        POST,
        {"resource": "urn:dtaccount:.*", "scope": ".+"},
        answer={"token_type": "Bearer", "expires_in": 300, "scope": "s", "resource": "urn:x"},
    ),
    "eBay": Provider(
        "/identity/v1/oauth2/token",
        BASIC,
        {"scope": "https://api.ebay.com/oauth/api_scope"},
        answer={"expires_in": 7200, "token_type": "Application Access Token"},
    ),
    "Entra ID": Provider(
        "/TENANT/oauth2/v2.0/token", EITHER, {"scope": ".*/.default"}, answer=ENTRA
    ),
    "Entra ID, with a certificate or workload identity": Provider(
        "/TENANT/oauth2/v2.0/token", ASSERTED, {"scope": ".*/.default"}, answer=ENTRA
    ),
    "FedEx": Provider("/oauth/token", POST, optional=(), answer=FEDEX),
    "FedEx, for a compatible solution": Provider(
        "/oauth/token",
        POST,
        {"grant_type": "csp_credentials", "child_Key": ".+", "child_secret": ".+"},
        optional=(),
        answer=FEDEX,
    ),
    "Fiserv": Provider("/token", BASIC, answer={"token_type": "Bearer", "expires_in": 900_000}),
    "IGDB": Provider("/oauth2/token", POST, answer=TWITCH, api_headers={"Client-ID": CLIENT_ID}),
    "Keycloak": Provider("/realms/REALM/protocol/openid-connect/token", EITHER, answer=KEYCLOAK),
    "Kroger": Provider(
        "/v1/connect/oauth2/token",
        BASIC,
        {"scope": "product.compact"},
        answer={"expires_in": 1800, "token_type": "bearer"},
    ),
    "Okta": Provider(
        "/oauth2/default/v1/token",
        EITHER,
        {"scope": ".+"},
        answer={"token_type": "Bearer", "expires_in": 3600, "scope": "things"},
    ),
    "Okta, its own API": Provider(
        "/oauth2/v1/token",
        ASSERTED,
        {"scope": r"okta\..*"},
        answer={"token_type": "Bearer", "expires_in": 3600, "scope": "okta.users.read"},
    ),
    "OpenSky": Provider(
        "/auth/realms/opensky-network/protocol/openid-connect/token", EITHER, answer=KEYCLOAK
    ),
    "PayPal": Provider(
        "/v1/oauth2/token",
        BASIC,
        answer={
            "scope": "https://uri.paypal.com/services/invoicing https://uri.paypal.com/services/x",
            "token_type": "Bearer",
            "app_id": "APP-80W284485P519543T",
            "expires_in": 31_668,
            "nonce": "2020-04-03T15:35:36ZaYZlGvEkV4yVSz8g6bAKFoGSEzuy3CQcz3ljhibkOHg",
        },
    ),
    "Petfinder": Provider("/v2/oauth2/token", POST),
    "Reddit": Provider(
        "/api/v1/access_token",
        BASIC,
        answer={"token_type": "bearer", "expires_in": 86_400, "scope": "*"},
        headers={"User-Agent": ".+/.+"},
    ),
    "Salesforce": Provider(
        "/services/oauth2/token",
        EITHER,
        answer={
            "signature": "c2lnbmVk",
            "scope": "api",
            "instance_url": "https://x.my.salesforce.com",
            "id": "https://login.salesforce.com/id/00D/005",
            "token_type": "Bearer",
            "issued_at": "1700000000000",
        },
    ),
    "SAP Ariba": Provider(
        "/v2/oauth/token",
        BASIC,
        {"grant_type": "openapi_2lo"},
        answer={
            "timeUpdated": 1_700_000_000,
            "scope": None,
            "expires_in": 1440,
            "token_type": "bearer",
        },
    ),
    "SAP XSUAA": Provider("/oauth/token", POST, answer=XSUAA, client_secret=ODD_SECRET),
    "SAP XSUAA, with Basic": Provider(
        "/oauth/token",
        BASIC,
        answer=XSUAA,
        client_secret=ODD_SECRET,
        decodes_with="X-CF-ENCODED-CREDENTIALS",
    ),
    "ServiceNow": Provider(
        "/oauth_token.do",
        POST,
        answer={"scope": "useraccount", "token_type": "Bearer", "expires_in": 1799},
    ),
    "Spotify": Provider("/api/token", BASIC),
    "Spring Authorization Server": Provider(
        "/oauth2/token",
        BASIC,
        {"scope": ".+"},
        answer={"scope": "things", "token_type": "Bearer", "expires_in": 299},
    ),
    "Transporeon": Provider("/oauth/token", BASIC, in_query=True),
    "Trimble": Provider("/oauth/token", BASIC, {"scope": ".+"}),
    "Twitch": Provider("/oauth2/token", POST, answer=TWITCH, api_headers={"Client-Id": CLIENT_ID}),
    "UPS": Provider("/security/v1/oauth/token", BASIC, answer=UPS),
    "UPS, for a merchant": Provider(
        "/security/v1/oauth/token", BASIC, answer=UPS, headers={"x-merchant-id": "[0-9]{6}"}
    ),
    "X": Provider("/oauth2/token", BASIC, answer={"token_type": "bearer"}),
    "Zoom": Provider(
        "/oauth/token",
        BASIC,
        {"grant_type": "account_credentials", "account_id": ".+"},
        answer={
            "token_type": "bearer",
            "expires_in": 3599,
            "scope": "user:read:admin",
            "api_url": "https://api.zoom.us",
        },
    ),
    # Those that the page calls impossible, as far as something can be emulated.
    "Google": Provider("/token", (), {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}),
    "Shopify": Provider(
        "/admin/oauth/access_token",
        POST,
        answer={"scope": "write_orders", "expires_in": 86_399},
        token_header=("X-Shopify-Access-Token", "%s"),
    ),
    "Walmart": Provider(
        "/v3/token",
        BASIC,
        headers={"WM_SVC.NAME": ".+", "WM_QOS.CORRELATION_ID": ".+"},
        token_header=("WM_SEC.ACCESS_TOKEN", "%s"),
    ),
    "Vanta": Provider("/oauth/token", POST, media_type="application/json"),
    "Greenhouse": Provider("/oauth/token", BASIC, {"sub": ".+"}, media_type="application/json"),
    "Clients with a certificate and no secret": Provider("/token", ()),
    "DPoP": Provider(
        "/token",
        EITHER,
        headers={"DPoP": ".+"},
        answer={"token_type": "DPoP", "expires_in": 3600},
        token_header=("Authorization", "DPoP %s"),
    ),
}
IMPOSSIBLE = (
    *("Google", "Shopify", "Walmart", "Vanta", "Greenhouse"),
    *("Clients with a certificate and no secret", "DPoP"),
)


def slug(name: str) -> str:
    """The first part of the paths of a provider."""
    return re.sub("[^a-z0-9]+", "-", name.lower())


class Emulation:
    """All providers.

    Attributes:
        url: its origin.
        requests: what has arrived.
    """

    def __init__(self) -> None:
        self.requests: list[ReceivedRequest] = []
        self.url = ""
        self._by_slug = {slug(name): provider for name, provider in PROVIDERS.items()}
        self._issued: set[tuple[str, str]] = set()
        self._numbers = itertools.count()

    @contextmanager
    def running(self) -> Iterator[Emulation]:
        """Serve until the block ends."""
        listener = Listener(self._answer, None, 0)
        self.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            listener.stop_accepting()
            thread.join()
            listener.disconnect_all()

    def _answer(self, request: ReceivedRequest) -> Answer:
        self.requests.append(request)
        url = urlsplit(request.path)
        _, name, path = url.path.split("/", 2)
        provider = self._by_slug[name]
        if path == "api":
            return self._api(name, provider, request)
        problem = _problem(provider, request, f"/{path}", url.query)
        if problem is not None:
            return problem
        token = f"token-{next(self._numbers)}"
        self._issued.add((name, token))
        answer = {"access_token": token, **provider.answer}
        requested = dict(parse_qsl(request.body.decode())).get("scope")
        if "scope" in answer and requested:
            answer["scope"] = requested
        return Answer.of(200, answer, {})

    def _api(self, name: str, provider: Provider, request: ReceivedRequest) -> Answer:
        header, form = provider.token_header
        prefix = form.partition("%")[0]
        sent = request.headers.get(header, "")
        if not sent.startswith(prefix) or (name, sent.removeprefix(prefix)) not in self._issued:
            return Answer.of(401, {"error": "invalid_token"}, {})
        for wanted, value in provider.api_headers.items():
            if request.headers.get(wanted) != value:
                return Answer.of(400, {"message": f"{wanted} is missing"}, {})
        return Answer.of(200, {}, {})


def _problem(provider: Provider, request: ReceivedRequest, path: str, query: str) -> Answer | None:
    """Why there is no token; None if there is one."""
    if path != provider.path:
        return Answer.of(404, {"error": "Not Found", "path": path}, {})
    for name, pattern in provider.headers.items():
        if not re.fullmatch(pattern, request.headers.get(name, "")):
            return Answer.of(400, {"message": f"the header {name} is missing"}, {})
    if request.headers.get_content_type() != provider.media_type:
        return Answer.of(415, {"message": "Unsupported Media Type"}, {})
    fields = _fields(provider, request, query)
    if isinstance(fields, str):
        return _refusal(400, fields)
    methods = _methods(provider, request, fields)
    if len(methods) != 1:  # RFC 6749 §2.3: no more than one method in each request
        return _refusal(400 if methods else 401, "invalid_request" if methods else "invalid_client")
    if not methods <= set(provider.auth):
        return _refusal(401, "invalid_client")
    for own in ("client_id", "client_secret", "client_assertion", "client_assertion_type"):
        fields.pop(own, None)
    demanded = {"grant_type": "client_credentials", **provider.fields}
    for name, pattern in demanded.items():
        if not re.fullmatch(pattern, fields.pop(name, "")):
            return _refusal(400, "invalid_request")
    return _refusal(400, "invalid_request") if set(fields) - set(provider.optional) else None


def _fields(provider: Provider, request: ReceivedRequest, query: str) -> dict[str, str] | str:
    if provider.media_type == "application/json":
        given: dict[str, str] = json.loads(request.body)
        return given
    text = query if provider.in_query else request.body.decode()
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else "invalid_request"


def _methods(provider: Provider, request: ReceivedRequest, fields: dict[str, str]) -> set[str]:
    """How the client has authenticated; none if any credentials are wrong."""
    sent: dict[str, tuple[object, object]] = {}
    right = (CLIENT_ID, provider.client_secret)
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme:
        pair = base64.b64decode(encoded).decode().split(":", 1) if scheme == "Basic" else []
        if not provider.decodes_with or provider.decodes_with in request.headers:
            pair = [unquote_plus(part) for part in pair]
        sent["basic"] = (tuple(pair), right)
    if "client_secret" in fields:
        sent["post"] = ((fields.get("client_id"), fields["client_secret"]), right)
    if "client_assertion" in fields:
        assertion = (fields["client_assertion"], fields.get("client_assertion_type"))
        sent["assertion"] = (assertion, (ASSERTION, JWT_BEARER))
    wrong = any(given != expected for given, expected in sent.values())
    return set() if wrong else set(sent)


def _refusal(status: int, error: str) -> Answer:
    return Answer.of(status, {"error": error, "error_description": f"{error} of this provider"}, {})
