"""The options, checked by the constructor.

Options that are not given come from the environment, then from the defaults.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import NamedTuple, TypedDict, Unpack, cast, get_args

from mediahound_auth._core.grant import ClientAuth, Grant
from mediahound_auth._core.masked import masked
from mediahound_auth._core.origins import Origin, origin_of
from mediahound_auth.errors import ConfigurationError
from mediahound_auth.stores import MemoryStore, Store

__all__ = ["DEFAULT_TOKEN_URL", "Options", "Settings"]

DEFAULT_TOKEN_URL = "https://api.mediahound.com/1.3/security/oauth/token"

# For secrets from callables: only what the endpoint is sent tells whether two of them are the same.
_PROCESS_STORE = MemoryStore()


class Options(TypedDict):
    """The options of all auth objects. The docstrings of the constructors explain them."""

    client_id: str | None
    client_secret: str | Callable[[], str] | None
    token_url: str | None
    scope: str | Iterable[str] | None
    parameters: Mapping[str, str | Sequence[str]] | None
    client_auth: ClientAuth
    origins: Iterable[str]
    store: Store | None
    renew_margin: float
    timeout: float


class Settings(NamedTuple):
    """The checked options of an auth object. Times are in seconds."""

    grant: Grant
    origins: frozenset[Origin]
    store: Store | None
    renew_margin: float
    timeout: float

    @classmethod
    def from_options(cls, **options: Unpack[Options]) -> Settings:
        """Return the settings for these options and the environment.

        Raises:
            ConfigurationError: An option is missing or wrong.
        """
        url, where = _given(options["token_url"], "token_url", DEFAULT_TOKEN_URL)
        grant = Grant(
            client_id=_text(*_given(options["client_id"], "client_id")),
            client_secret=_secret(*_given(options["client_secret"], "client_secret")),
            token_url=_text(url, where),
            scope=_scope(options["scope"]),
            client_auth=_client_auth(options["client_auth"]),
            parameters=_parameters(options["parameters"]),
        )
        if grant.client_auth == "client_assertion" and isinstance(grant.client_secret, str):
            raise ConfigurationError(
                "client_auth='client_assertion' needs a callable as client_secret=, which returns "
                "a new assertion for each token request, such as a signed JWT"
            )
        if isinstance(options["origins"], str):
            raise ConfigurationError("origins must be a list of str, such as origins=['https://…']")
        further = [_origin(origin) for origin in _listed(options["origins"], "origins")]
        return cls(
            grant=grant,
            origins=frozenset([_token_origin(grant.token_url, where), *further]),
            store=_store(options["store"]),
            renew_margin=_seconds(options["renew_margin"], "renew_margin", zero=True),
            timeout=_seconds(options["timeout"], "timeout", zero=False),
        )

    @property
    def effective_store(self) -> Store | None:
        """The store besides the state that equal grants share in this process. None: there is none.

        Each client assertion is different, so without a store its token is not shared.
        """
        # Not a field, so that a pickle does not contain it.
        if self.store is not None or not callable(self.grant.client_secret):
            return self.store
        return None if self.grant.client_auth == "client_assertion" else _PROCESS_STORE


def _given(value: object, option: str, default: str | None = None) -> tuple[object, str]:
    """Return the value of an option, and its name for error messages."""
    variable = f"MEDIAHOUND_{option.upper()}"
    if value is not None:
        return value, option
    if value := os.environ.get(variable):
        return value, f"{option} (from {variable})"
    if default is not None:
        return default, option
    raise ConfigurationError(f"no {option}: pass {option}= or set {variable}")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a str, not {type(value).__name__}")
    if not value.strip():
        raise ConfigurationError(f"{name} is empty")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        # Without the cause, whose text would show the value.
        raise ConfigurationError(f"{name} cannot be encoded as UTF-8") from None
    return value


def _secret(value: object, name: str) -> str | Callable[[], str]:
    value = masked(value)  # tools print variables
    if callable(value):
        return cast(Callable[[], str], value)  # its result is checked when it is called
    if not isinstance(value, str):
        kind = type(value).__name__
        raise ConfigurationError(f"{name} must be a str or a callable that returns one, not {kind}")
    return _text(value, name)


def _scope(scope: object) -> str:
    if scope is None:
        return ""
    parts = scope.split() if isinstance(scope, str) else _listed(scope, "scope")
    if not all(isinstance(part, str) and part.split() == [part] for part in parts):
        raise ConfigurationError("scope must be a str or an iterable of str without spaces")
    if isinstance(scope, Set):
        parts.sort(key=str)  # the order of a set differs between processes
    return " ".join(str(part) for part in parts)


def _client_auth(value: object) -> ClientAuth:
    for known in get_args(ClientAuth):
        if value == known:
            return known  # type: ignore[no-any-return]  # typeshed: get_args returns Any
    choices = ", ".join(repr(known) for known in get_args(ClientAuth))
    raise ConfigurationError(f"client_auth must be one of {choices}")


# Names that `parameters` cannot contain, and the option to use instead.
_RESERVED = {
    "client_id": "client_id=",
    "client_secret": "client_secret=",
    "client_assertion": "client_auth='client_assertion'",
    "client_assertion_type": "client_auth='client_assertion'",
    "scope": "scope=",
}


def _parameters(value: object) -> tuple[tuple[str, str], ...]:
    """Return sorted names and values, so that equal parameters make equal grants."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise ConfigurationError("parameters= must be a mapping of names to str")
    pairs: list[tuple[str, str]] = []
    for name, given in value.items():
        for one in given if isinstance(given, list | tuple) else [given]:
            if not (isinstance(name, str) and isinstance(one, str)):
                raise ConfigurationError("parameters= must map names to a str or a list of str")
            pairs.append((_text(name, "a name in parameters="), _text(one, "a parameters= value")))
    names = [name for name, _ in pairs]
    for name, option in _RESERVED.items():
        if name in names:
            raise ConfigurationError(f"parameters= cannot contain {name}: use {option}")
    if names.count("grant_type") > 1:
        raise ConfigurationError("parameters= contains more than one grant_type")
    return tuple(sorted(pairs))


# Messages do not quote values: a value may be a secret that was passed as the wrong option.


def _token_origin(url: str, name: str) -> Origin:
    try:
        origin = origin_of(url)
    except ValueError:
        raise ConfigurationError(f"{name} must be an absolute https URL") from None
    if not origin.secure:
        raise ConfigurationError(
            f"{name} must be an https URL: over http the client secret could be intercepted on the "
            f"way to {origin.host}. Only loopback hosts may use http"
        )
    authority = url.split("//", 1)[1].split("/", 1)[0].split("?", 1)[0]
    if "@" in authority or "#" in url:
        raise ConfigurationError(f"{name} must be a URL without credentials and fragment")
    return origin


def _origin(value: object) -> Origin:
    if not isinstance(value, str):
        raise ConfigurationError(f"origins must contain str, not {type(value).__name__}")
    try:
        origin = origin_of(value)
    except ValueError:
        raise ConfigurationError(
            "origins must contain only origins such as 'https://host' or 'https://host:port'"
        ) from None
    bare = value.split("//", 1)[1]
    if any(mark in bare for mark in "/?#@"):
        raise ConfigurationError(
            "origins must contain only origins, without path, query, fragment and credentials; "
            f"perhaps {str(origin)!r} is meant"
        )
    if not origin.secure:
        raise ConfigurationError(
            f"origins must contain only https URLs, not {str(origin)!r}: over http the access "
            "token could be intercepted. Only loopback hosts may use http"
        )
    return origin


def _listed(value: object, option: str) -> list[object]:
    if not isinstance(value, Iterable):
        raise ConfigurationError(f"{option} must be iterable, not {type(value).__name__}")
    return list(value)


def _store(value: object) -> Store | None:
    if value is None or (isinstance(value, Store) and not isinstance(value, type)):
        return value
    kind = "a class" if isinstance(value, type) else type(value).__name__
    raise ConfigurationError(
        f"store must be an object with the methods load, save, discard and lock, not {kind}"
    )


def _seconds(value: object, option: str, *, zero: bool) -> float:
    least, bounds = (0.0, "0 or more") if zero else (1e-3, "above 0")
    # threading.TIMEOUT_MAX is larger on all systems.
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= 1e6:
        return float(value)
    raise ConfigurationError(f"{option} must be a number of seconds, {bounds} (at most 1e6)")
