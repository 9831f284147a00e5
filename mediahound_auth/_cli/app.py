"""The command line, `mediahound-auth`. `app` states the exit codes.

Tokens are kept in the file store, so that all commands of a user share one.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

from mediahound_auth._extras import missing_extra

try:
    import typer
except ModuleNotFoundError as _error:
    print(missing_extra(_error, "mediahound-auth", "cli", "typer"), file=sys.stderr)
    sys.exit(2)

from mediahound_auth._cli import options
from mediahound_auth._cli.options import (
    PROGRAM,
    ClientAuth,
    ClientAuthOption,
    ClientId,
    Parameters,
    Scope,
    SecretFile,
    Timeout,
    TokenUrl,
    build_auth,
    with_cli_option_names,
)
from mediahound_auth._cli.stderr import say, waiting
from mediahound_auth.errors import (
    ConfigurationError,
    MediaHoundAuthError,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth.version import __version__

# Shell completion runs this file at each Tab: slow imports are in the functions.
if TYPE_CHECKING:
    from mediahound_auth.requests import MediaHoundAuth
    from mediahound_auth.stores import Store
    from mediahound_auth.token import Token

__all__ = ["main"]

app: typer.Typer = typer.Typer(
    help="Access tokens for the MediaHound API.",
    epilog="Exit codes: 0 success; 1 no token, or a check failed; 2 usage or configuration error; "
    "3 token endpoint unreachable or unavailable; 130 interrupted.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def about(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Access tokens for the MediaHound API."""
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


@app.command()
def token(
    client_id: ClientId = None,
    client_secret_file: SecretFile = None,
    token_url: TokenUrl = None,
    scope: Scope = None,
    parameter: Parameters = None,
    client_auth: ClientAuthOption = ClientAuth.mediahound,
    timeout: Timeout = 30.0,
    header: Annotated[bool, typer.Option("--header", help="Print the whole header line.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all fields, as JSON.")] = False,
) -> None:
    """Print a valid access token, and nothing else."""
    if header and json:
        raise ConfigurationError("pass --header or --json, not both")
    auth = build_auth(
        client_id, client_secret_file, token_url, scope, parameter, client_auth, timeout
    )
    from mediahound_auth._adapters.bearer_auth import source_of

    endpoint = source_of(auth).settings.grant.endpoint
    with waiting(PROGRAM, f"a token from {endpoint}", timeout):
        valid = _valid(auth, timeout)
    if json:
        from json import dumps

        fields = {**valid.as_dict(), "token_type": "Bearer", "authorization": valid.authorization}
        print(dumps(fields))
    elif header:
        print(f"Authorization: {valid.authorization}")
    else:
        print(valid.access_token)


@app.command()
def check(
    client_id: ClientId = None,
    client_secret_file: SecretFile = None,
    token_url: TokenUrl = None,
    scope: Scope = None,
    parameter: Parameters = None,
    client_auth: ClientAuthOption = ClientAuth.mediahound,
    timeout: Timeout = 30.0,
) -> None:
    """Request a token step by step, and say how to fix what fails."""
    from mediahound_auth.stores import MemoryStore

    # A new store: the token is requested, and the stored one stays as it is.
    given = (client_id, client_secret_file, token_url, scope, parameter, client_auth, timeout)
    auth = build_auth(*given, store=MemoryStore())
    from mediahound_auth._cli.check import check

    with waiting(PROGRAM, "the token endpoint", timeout):
        code = check(auth)
    raise typer.Exit(code)


@app.command()
def forget(
    client_id: ClientId = None,
    client_secret_file: SecretFile = None,
    token_url: TokenUrl = None,
    scope: Scope = None,
    parameter: Parameters = None,
    client_auth: ClientAuthOption = ClientAuth.mediahound,
) -> None:
    """Delete the token that is stored for these options and this secret."""
    auth = build_auth(client_id, client_secret_file, token_url, scope, parameter, client_auth, 30.0)
    from mediahound_auth._adapters.bearer_auth import source_of

    source = source_of(auth)
    grant, store = source.settings.grant, source.settings.effective_store
    stored = False
    with suppress(Exception):  # a store that fails is reported below
        stored = store is not None and _is_stored(store, grant.resolved().key())
    auth.forget()
    if source.shared.store_health.failing:  # a warning has said why
        raise typer.Exit(1)
    if stored:
        print(f"Deleted the stored token of client {grant.client_id!r}.")
    else:
        print(
            f"No token of client {grant.client_id!r} is stored for these options and this secret."
        )


def _is_stored(store: Store, key: str) -> bool:
    try:
        return store.load(key) is not None
    except ValueError:  # a damaged record
        return True


@app.command(context_settings={"allow_interspersed_args": False})
def serve(
    command: options.Command = None,
    port: options.Port = 0,
    lifetime: options.Lifetime = 1_209_600,
    same_token: options.SameToken = True,
    client_auth: ClientAuthOption = ClientAuth.mediahound,
    token_delay: options.TokenDelay = 0.0,
    fail_token_requests: options.FailTokenRequests = 0,
    drop_token_requests: options.DropTokenRequests = 0,
    reject_api_requests: options.RejectApiRequests = False,
) -> None:
    """Run a fake MediaHound server on this machine, until Ctrl-C or while a command runs.

    mediahound-auth serve -- python app.py
    """
    from mediahound_auth._cli.serve import run, serve
    from mediahound_auth.testing import MediaHoundServer

    try:
        server = MediaHoundServer(
            port=port,
            lifetime=lifetime,
            return_same_token=same_token,
            client_auth=client_auth.value,
        )
    except ValueError as error:
        raise ConfigurationError(f"--{error}") from None
    server.token_delay, server.reject_api_requests = token_delay, reject_api_requests
    if fail_token_requests:
        server.respond_to_token_requests(fail_token_requests, status=503)
    if drop_token_requests:
        server.drop_token_requests(drop_token_requests)
    if command:
        raise typer.Exit(run(server, command))
    serve(server)


@app.command()
def demo() -> None:
    """Show the package at work, against a fake server on this machine."""
    from mediahound_auth._cli.demo import demo

    demo()


def main() -> NoReturn:
    """Run the command line. An error is one line on standard error."""
    try:
        code = app(prog_name=PROGRAM, standalone_mode=False) or 0
        print(end="", flush=True)
        if sys.stdout is None:
            raise OSError("standard output is closed")
    except (MediaHoundAuthError, ModuleNotFoundError) as error:
        unavailable = isinstance(error, TokenEndpointUnavailable)
        code = 3 if unavailable else 1 if isinstance(error, TokenRequestError) else 2
        say(PROGRAM, with_cli_option_names(str(error)))
    except OSError as error:
        code = 1
        # Nothing can be written. Python must not try again at its exit.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            say(PROGRAM, error.strerror or str(error))
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except Exception as error:
        # A usage error: of click or of typer, depending on the version of typer.
        message: Any = getattr(error, "format_message", None)
        if message is None:
            raise
        code = 2
        say(PROGRAM, _usage(message()))
    sys.exit(code)


def _usage(message: str) -> str:
    # Without the arguments: one of them may be a secret.
    if "unexpected extra argument" in message:
        return "this command takes options only; see --help"
    if message.startswith("No such command"):
        return "no such command; see --help"
    return message


def _valid(auth: MediaHoundAuth, timeout: float) -> Token:
    """Return a valid token; if the stored one is due for renewal, wait for the renewal."""
    from mediahound_auth._adapters.bearer_auth import source_of

    auth.token()
    auth.token()  # starts the background renewal, which would end with this process
    renewal = source_of(auth).shared.renewal
    if renewal is not None:
        renewal.wait(timeout)
    return auth.token()
