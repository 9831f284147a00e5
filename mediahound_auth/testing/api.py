"""The API of MediaHoundServer: the responses to calls, with and without a valid token."""

from __future__ import annotations

import hashlib
import string
from collections.abc import Mapping
from urllib.parse import parse_qs, quote, unquote, urlsplit

from mediahound_auth.testing.traffic import Answer, ReceivedRequest

_CHALLENGE = 'Bearer realm="mediahound"'


def bearer_token(request: ReceivedRequest) -> str | None:
    """Return the token of the Authorization header; None without one."""
    scheme, _, token = (request.headers.get("Authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def missing_token() -> Answer:
    """Return the 401 for a call without a token, with the text of Spring Security OAuth."""
    description = "Full authentication is required to access this resource"
    return _unauthorized("unauthorized", description, _CHALLENGE)


def invalid_token(description: str) -> Answer:
    """Return the 401 for a call with an invalid token."""
    challenge = f'{_CHALLENGE}, error="invalid_token", error_description="{description}"'
    return _unauthorized("invalid_token", description, challenge)


def answer(request: ReceivedRequest) -> Answer:
    """Return the response to a call with a valid token."""
    url = urlsplit(request.path)
    query = parse_qs(url.query)
    name = url.path.strip("/").partition("/")[0]
    try:
        if name == "status":
            return _status(int(url.path.rpartition("/")[2]))
        if url.path == "/redirect":
            return _redirect(query["to"][0], int(query.get("status", ["302"])[0]))
        if url.path == "/stream":
            return _stream(int(query.get("chunks", ["3"])[0]))
    except (KeyError, ValueError):
        return _json(400, {"error": "invalid_request", "path": url.path})
    if url.path == "/echo":
        return _echo(request)
    headers = {"Set-Cookie": "mediahound=sniffing; Path=/"} if url.path == "/cookie" else {}
    content: dict[str, object] = {"path": request.path, "method": request.method}
    if url.path.startswith("/1.3/search/"):
        title = unquote(url.path.rpartition("/")[2])
        content["results"] = [{"name": title, "mhid": "mhmov000000000000000000000000000000"}]
    return _json(200, content, headers)


def _status(status: int) -> Answer:
    # After an interim 1xx, the client would wait for the final response.
    if not 200 <= status <= 599:
        raise ValueError(status)
    return _json(status, {"status": status})


def _redirect(to: str, status: int) -> Answer:
    # Quoted, so that a line break in the target does not start another header.
    return Answer(status, {"Location": quote(to, safe=string.punctuation)})


def _stream(chunks: int) -> Answer:
    lines = [b"chunk %d\n" % number for number in range(chunks)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(line), line) for line in lines)
    headers = {"Content-Type": "text/plain", "Transfer-Encoding": "chunked"}
    return Answer(200, headers, framed + b"0\r\n\r\n")


def _echo(request: ReceivedRequest) -> Answer:
    headers = {name: ", ".join(request.headers.get_all(name, [])) for name in request.headers}
    for name in headers:
        if name.lower() == "authorization":
            headers[name] = f"{headers[name].partition(' ')[0]} (hidden)"
    content = {
        "method": request.method,
        "path": request.path,
        "headers": headers,
        "body": request.body.decode(errors="replace"),
        "length": len(request.body),
        "sha256": hashlib.sha256(request.body).hexdigest(),
    }
    return _json(200, content)


def _unauthorized(error: str, description: str, challenge: str) -> Answer:
    headers = {"WWW-Authenticate": challenge, "Cache-Control": "no-store", "Pragma": "no-cache"}
    return _json(401, {"error": error, "error_description": description}, headers)


def _json(
    status: int, content: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Answer:
    return Answer.of(status, content, headers or {})
