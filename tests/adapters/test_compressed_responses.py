"""Token responses that are compressed, although the request does not allow it."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from libraries import SYNC, Library

from mediahound_auth import InvalidTokenResponse, TokenEndpointUnavailable
from mediahound_auth.testing import MediaHoundServer

TOKEN = json.dumps({"access_token": "t0ken", "token_type": "bearer", "expires_in": 60}).encode()


@pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(TOKEN)),
        ("GZIP", gzip.compress(TOKEN)),
        ("x-gzip", gzip.compress(TOKEN)),
        ("deflate", zlib.compress(TOKEN)),
        ("identity", TOKEN),
    ],
    ids=["gzip", "GZIP", "x-gzip", "deflate", "identity"],
)
def test_a_compressed_token_response_is_read(
    server: MediaHoundServer, library: Library, encoding: str, body: bytes
) -> None:
    headers = {"Content-Encoding": encoding}
    server.respond_to_token_requests(1, status=200, body=body, headers=headers)
    assert library.auth(server).token().access_token == "t0ken"


@pytest.mark.parametrize("library", SYNC, indirect=True, ids=str)
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", b"not gzip"),
        ("gzip", gzip.compress(TOKEN)[:30]),
        ("br", b"\x0b\x02\x80"),
        ("gzip, gzip", gzip.compress(gzip.compress(b" " * (1 << 20)))),
    ],
    ids=["no gzip", "cut", "unknown", "twice"],
)
def test_a_body_that_cannot_be_decompressed_is_an_invalid_token_response(
    server: MediaHoundServer, library: Library, encoding: str, body: bytes
) -> None:
    headers = {"Content-Encoding": encoding}
    server.respond_to_token_requests(99, status=200, body=body, headers=headers)
    # requests says the first one is a connection that failed, which is retried.
    with pytest.raises((InvalidTokenResponse, TokenEndpointUnavailable)):
        library.auth(server, timeout=0.5).token()
