"""Every public name of the package. One is added or lost on purpose, or this fails.

What is public: the modules below, what their `__all__` names, and the arguments of what is meant to
be called. The rest may change with any release; docs/how-it-works/compatibility.md has the promise.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tomllib
from pathlib import Path

import pytest

import mediahound_auth

ERRORS = {
    "ConfigurationError",
    "InvalidClientError",
    "InvalidTokenResponse",
    "TokenEndpointUnavailable",
    "TokenRequestError",
}
PUBLIC = {
    "mediahound_auth": ERRORS
    | {"MediaHoundAuthError", "MemoryStore", "Store", "Token", "__version__"},
    "mediahound_auth.requests": ERRORS | {"MediaHoundAuth"},
    "mediahound_auth.httpx": ERRORS | {"MediaHoundAuth"},
    "mediahound_auth.httpx2": ERRORS | {"MediaHoundAuth"},
    "mediahound_auth.oauth2session": {"MediaHoundSession"},
    "mediahound_auth.stores": {"FileStore", "MemoryStore", "RedisStore", "Store"},
    "mediahound_auth.testing": {
        "ClientAuth",
        "Credentials",
        "HeldRequests",
        "MediaHoundServer",
        "ReceivedRequest",
        "StoreContract",
        "static_auth",
    },
}
# Not in `__all__`: `import *` must not fail where an extra is missing.
WITH_AN_EXTRA = {"FileStore", "RedisStore"}
# What all libraries share, at the top of the package beside what users import.
SHARED = {"errors", "token", "version"}
OPTIONS = [
    *("client_id", "client_secret", "token_url", "scope", "parameters", "client_auth"),
    *("origins", "store", "renew_margin", "timeout"),
]


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_a_public_module_has_these_names_and_no_others(module: str) -> None:
    there = importlib.import_module(module)
    assert set(there.__all__) == PUBLIC[module] - WITH_AN_EXTRA
    assert all(hasattr(there, name) for name in PUBLIC[module])


def test_inner_modules_begin_with_an_underscore() -> None:
    modules = {name for _, name, _ in pkgutil.iter_modules(mediahound_auth.__path__)}
    public = {name.removeprefix("mediahound_auth.") for name in PUBLIC} - {"mediahound_auth"}
    assert {name for name in modules if not name.startswith("_")} == public | SHARED


@pytest.mark.parametrize(
    ("module", "own"), [("requests", "session"), ("httpx", "client"), ("httpx2", "client")]
)
def test_the_options_keep_their_names_and_all_but_the_credentials_are_keywords(
    module: str, own: str
) -> None:
    auth = importlib.import_module(f"mediahound_auth.{module}").MediaHoundAuth
    parameters = inspect.signature(auth).parameters
    assert list(parameters) == [*OPTIONS, own]
    positional = [name for name, it in parameters.items() if it.kind is not it.KEYWORD_ONLY]
    assert positional == ["client_id", "client_secret"]


def test_the_extra_all_brings_all_others_but_httpx2() -> None:
    text = Path(__file__).parents[2].joinpath("pyproject.toml").read_text(encoding="utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    brought = {name for entry in extras["all"] for name in entry.split("[")[1][:-1].split(",")}
    # Authlib, gql and Starlette switch to httpx2 when it is importable, and then reject httpx's.
    assert brought == extras.keys() - {"all", "httpx2"}


@pytest.mark.parametrize("module", ["requests", "httpx", "httpx2"])
def test_an_auth_object_has_these_methods(module: str) -> None:
    auth = importlib.import_module(f"mediahound_auth.{module}").MediaHoundAuth
    methods = {"token", "renew", "forget"}
    if module != "requests":
        methods |= {"atoken", "arenew", "aforget"}
    theirs = {"auth_flow", "sync_auth_flow", "async_auth_flow"}
    theirs |= {"requires_request_body", "requires_response_body"}
    assert {name for name in dir(auth) if not name.startswith("_")} - theirs == methods
