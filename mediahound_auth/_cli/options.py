"""The options of `mediahound-auth`, and the auth object that they make."""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from mediahound_auth._core.masked import masked
from mediahound_auth.errors import ConfigurationError

if TYPE_CHECKING:
    from mediahound_auth.requests import MediaHoundAuth
    from mediahound_auth.stores import Store

__all__ = [
    "PROGRAM",
    "ClientAuth",
    "ClientAuthOption",
    "ClientId",
    "Parameters",
    "Scope",
    "SecretFile",
    "Timeout",
    "TokenUrl",
    "build_auth",
    "with_cli_option_names",
]

PROGRAM = "mediahound-auth"

# The names of options in messages, and on the command line.
OPTIONS = {
    "client_secret=": "--client-secret-file",
    "client_id=": "--client-id",
    "client_auth=": "--client-auth ",
    "scope=": "--scope",
    "parameters=": "--parameter",
    "token_url": "--token-url",
    "timeout must": "--timeout must",
    # Commands have no session.
    "The proxies and the CA bundle of your own session or client are used only if you pass it as "
    "session= or client=": "Proxies and CA bundle come from HTTPS_PROXY and REQUESTS_CA_BUNDLE",
}

# Bytes. A longer file does not hold a secret.
LONGEST_SECRET = 65_536


class ClientAuth(StrEnum):
    """The `ClientAuth` of grant.py, as an enum for typer."""

    mediahound = "mediahound"
    client_secret_basic = "client_secret_basic"
    client_secret_post = "client_secret_post"
    client_assertion = "client_assertion"


ClientId = Annotated[
    str | None, typer.Option(help="The client ID. Defaults to MEDIAHOUND_CLIENT_ID.", metavar="ID")
]
SecretFile = Annotated[
    str | None,
    typer.Option(
        "--client-secret-file",
        help="A file with the client secret; - reads it from standard input. Defaults to "
        "MEDIAHOUND_CLIENT_SECRET, then to a prompt. No option takes the secret itself: other "
        "users can see the arguments of a command.",
        metavar="PATH",
    ),
]
TokenUrl = Annotated[
    str | None,
    typer.Option(
        help="The token endpoint. Defaults to MEDIAHOUND_TOKEN_URL, then to MediaHound's.",
        metavar="URL",
    ),
]
Scope = Annotated[
    str | None,
    typer.Option(
        help="The scopes to request, separated by spaces. Defaults to those of the application.",
        metavar="SCOPES",
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        help="A further form field of the token request, such as audience=https://…; may be "
        "given several times.",
        metavar="NAME=VALUE",
    ),
]
ClientAuthOption = Annotated[
    ClientAuth, typer.Option("--client-auth", help="How the client authenticates.")
]
Timeout = Annotated[
    float, typer.Option(help="Seconds to get a token, retries included.", metavar="SECONDS")
]


# Of `serve`.
Command = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="COMMAND",
        help="After --, a command to run with the server's environment variables; its exit status "
        "is returned.",
        show_default=False,
    ),
]
Port = Annotated[int, typer.Option(help="The port; 0 takes a free one.", min=0, max=65535)]
Lifetime = Annotated[float, typer.Option(help="Seconds until a token expires.", min=0)]
SameToken = Annotated[
    bool,
    typer.Option(
        "--same-token/--new-tokens",
        help="Return the same token until it has expired, as MediaHound does.",
    ),
]
TokenDelay = Annotated[float, typer.Option(help="Seconds before each token response.", min=0)]
FailTokenRequests = Annotated[
    int, typer.Option(help="Respond to that many token requests with 503.", min=0, metavar="N")
]
DropTokenRequests = Annotated[
    int,
    typer.Option(help="Then reset the connection of that many requests.", min=0, metavar="N"),
]
RejectApiRequests = Annotated[
    bool, typer.Option("--reject-api-requests", help="Respond with 401 to every API request.")
]


def build_auth(
    client_id: str | None,
    secret_file: str | None,
    token_url: str | None,
    scope: str | None,
    parameters: list[str] | None,
    client_auth: ClientAuth,
    timeout: float,
    *,
    store: Store | None = None,
) -> MediaHoundAuth:
    """Return the auth object for these options and the environment. `store` defaults to files.

    Raises:
        ConfigurationError: An option is missing or wrong.
        ModuleNotFoundError: A library is missing. The message names the extra that installs it.
    """
    from mediahound_auth._cli.stderr import say_warnings
    from mediahound_auth.requests import MediaHoundAuth
    from mediahound_auth.stores import FileStore

    say_warnings(PROGRAM)
    secret: str | Callable[[], str] | None = masked(_secret(secret_file))
    if client_auth is ClientAuth.client_assertion:
        secret = partial(str, secret or masked(os.environ.get("MEDIAHOUND_CLIENT_SECRET", "")))
    return MediaHoundAuth(
        client_id,
        secret,
        token_url=token_url,
        scope=scope,
        parameters=_fields(parameters or []),
        client_auth=client_auth.value,
        timeout=timeout,
        store=store or FileStore(),
    )


def with_cli_option_names(message: str) -> str:
    """Return `message` with the names that options have on the command line."""
    for name, option in OPTIONS.items():
        message = message.replace(name, option)
    return message


def _fields(parameters: list[str]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for parameter in parameters:
        name, equals, value = parameter.partition("=")
        if not equals:
            raise ConfigurationError("--parameter must be NAME=VALUE")
        fields.setdefault(name, []).append(value)
    return fields


def _secret(path: str | None) -> str | None:
    """Return the client secret from the file, standard input or a prompt; None: environment."""
    wanted = path == "-" or not (path or os.environ.get("MEDIAHOUND_CLIENT_SECRET"))
    if wanted and os.isatty(0):
        return str(typer.prompt("Client secret", hide_input=True, err=True))
    if path is None:
        return None
    try:
        with open(0 if path == "-" else path, "rb", closefd=path != "-") as file:
            secret = file.read(LONGEST_SECRET + 1).decode("utf-8-sig").rstrip("\r\n")
    except OSError as error:
        # Without the path, which may be the secret.
        raise ConfigurationError(f"--client-secret-file: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError("--client-secret-file: the file is not UTF-8") from None
    if not secret:
        raise ConfigurationError("--client-secret-file: the file is empty")
    if len(secret) > LONGEST_SECRET:
        raise ConfigurationError("--client-secret-file: the file is too long for a secret")
    return secret
