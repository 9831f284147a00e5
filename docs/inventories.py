"""Where other projects document the types on the API pages, for links that need no network.

Sphinx would download these inventories. Builds work offline, so the few names are listed here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class Project(NamedTuple):
    """The documentation of another project: names, and the page of each, below `url`."""

    url: str
    pages: Mapping[str, str]


def _anchors(page: str, *names: str) -> dict[str, str]:
    return {name: f"{page}#{name}" for name in names}


_REQUESTS = {
    "requests.sessions.Session": "requests.Session",
    "requests.models.Response": "requests.Response",
    "requests.models.PreparedRequest": "requests.PreparedRequest",
    "requests.auth.AuthBase": "requests.auth.AuthBase",
    "requests.exceptions.RequestException": "requests.RequestException",
    "requests.exceptions.ConnectionError": "requests.ConnectionError",
}
_HTTPX = {
    "Client": "api/#client",
    "AsyncClient": "api/#asyncclient",
    "Request": "api/#request",
    "Response": "api/#response",
    "Auth": "advanced/authentication/#custom-authentication-schemes",
    "RequestError": "exceptions/",
    "TransportError": "exceptions/",
}

PROJECTS = {
    "python": Project(
        "https://docs.python.org/3/",
        {
            **_anchors("library/stdtypes.html", "str", "int", "float", "bytes", "dict", "list"),
            **_anchors("library/functions.html", "bool", "object"),
            **_anchors(
                "library/exceptions.html",
                *("AssertionError", "AttributeError", "Exception", "ModuleNotFoundError"),
                *("OSError", "RuntimeError", "TimeoutError", "TypeError", "ValueError"),
            ),
            **_anchors(
                "library/collections.abc.html",
                *(f"collections.abc.{n}" for n in ("Callable", "Iterable", "Iterator")),
                *(f"collections.abc.{n}" for n in ("Mapping", "Sequence")),
            ),
            **_anchors("library/contextlib.html", "contextlib.AbstractContextManager"),
            **_anchors("library/email.compat32-message.html", "email.message.Message"),
            **_anchors("library/os.html", "os.PathLike"),
            **_anchors("library/ssl.html", "ssl.SSLContext"),
            **_anchors("library/time.html", "time.time"),
        },
    ),
    "requests": Project(
        "https://requests.readthedocs.io/en/latest/",
        {
            **{name: f"api/#{public}" for name, public in _REQUESTS.items()},
            **{public: f"api/#{public}" for public in _REQUESTS.values()},
        },
    ),
    "httpx": Project(
        "https://www.python-httpx.org/", {f"httpx.{name}": page for name, page in _HTTPX.items()}
    ),
    # It has the interface of httpx, and no site of its own.
    "httpx2": Project(
        "https://pypi.org/project/httpx2/", dict.fromkeys((f"httpx2.{name}" for name in _HTTPX), "")
    ),
    "redis": Project(
        "https://redis.readthedocs.io/en/stable/",
        {
            "redis.Redis": "connections.html#redis.Redis",
            "redis.RedisCluster": "connections.html#redis.cluster.RedisCluster",
            "redis.RedisError": "exceptions.html",
        },
    ),
}


def mapping(folder: Path) -> dict[str, tuple[str, str]]:
    """Write an inventory for each project; return Sphinx's `intersphinx_mapping`."""
    folder.mkdir(exist_ok=True)
    found = {}
    for name, project in PROJECTS.items():
        file = folder / f"{name}.inv"
        file.write_bytes(b"".join(_inventory(name, project)))
        found[name] = (project.url, str(file))
    return found


def _inventory(name: str, project: Project) -> Iterator[bytes]:
    yield f"# Sphinx inventory version 2\n# Project: {name}\n# Version: \n".encode()
    yield b"# The remainder of this file is compressed using zlib.\n"
    # Exceptions are classes for Sphinx, which finds either by the other role.
    lines = [f"{n} py:class 1 {page} -\n" for n, page in sorted(project.pages.items())]
    yield zlib.compress("".join(lines).encode())
