"""The recipes on the page "Client assertions" make JWTs that a provider can verify."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pages
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from mediahound_auth.testing import MediaHoundServer

# Whatever our libraries' versions; the oldest cryptography is too old for those that sign.
pytestmark = pytest.mark.once

PAGE = pages.ROOT / "docs" / "guides" / "client-assertions.md"
SIGNERS = ["authlib.oauth2.rfc7523", "import jwt\n", "from joserfc import jwt"]
TOKEN = {"access_token": "t0ken", "token_type": "bearer", "expires_in": 3600}


@pytest.fixture(autouse=True)
def _endpoint(server: MediaHoundServer) -> None:
    server.respond_to_token_requests(9, status=200, body=TOKEN)


@pytest.fixture(scope="module")
def key() -> RSAKey:
    return RSAKey.generate_key(2048)


def auth_of(server: MediaHoundServer, mark: str) -> Any:
    """What the block with `mark` in it makes, once the page's first block has run."""
    codes = [block.code for block in pages.blocks(PAGE)]
    namespace: dict[str, Any] = {}
    for code in (codes[0], next(code for code in codes if mark in code)):
        exec(pages.TOKEN_URL.sub(server.token_url, code), namespace)
    return namespace["auth"]


def assertions(server: MediaHoundServer) -> list[str]:
    forms = [parse_qs(request.body.decode()) for request in server.token_requests]
    return [form["client_assertion"][0] for form in forms]


@pytest.mark.parametrize("mark", SIGNERS)
def test_a_signed_assertion_is_verified(
    mark: str,
    server: MediaHoundServer,
    key: RSAKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("key.pem").write_bytes(key.as_pem(private=True))
    auth = auth_of(server, mark)
    auth.token()
    auth.renew()
    signed = [jwt.decode(one, key) for one in assertions(server)]
    for token in signed:
        assert token.header["kid"] == "my-key"
        assert token.claims["iss"] == token.claims["sub"] == "MyClientId"
        assert token.claims["aud"] == server.token_url
        assert token.claims["exp"] == token.claims["iat"] + 60
    first, second = signed
    assert first.claims["jti"] != second.claims["jti"]


def test_a_workload_identity_file_is_read_at_each_token_request(
    server: MediaHoundServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    projected = tmp_path / "token"
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(projected))
    auth = auth_of(server, "AZURE_FEDERATED_TOKEN_FILE")
    projected.write_text("a.b.c\n")
    auth.token()
    projected.write_text("d.e.f\n")
    auth.renew()
    assert assertions(server) == ["a.b.c", "d.e.f"]
