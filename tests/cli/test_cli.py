"""`mediahound-auth` as a program: tokens, `forget`, and error messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from commands import BIN, Shell, Terminal

from mediahound_auth import __version__
from mediahound_auth.testing import MediaHoundServer

PROGRAM = "mediahound-auth"
UNAVAILABLE = {"status": 503, "headers": {"Retry-After": "3600"}}


@pytest.fixture
def shell(server: MediaHoundServer, tmp_path: Path) -> Shell:
    return Shell(tmp_path, server.environment)


def test_token_prints_a_valid_access_token_and_nothing_else(
    shell: Shell, server: MediaHoundServer
) -> None:
    code, out, err = shell.run(PROGRAM, "token")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    again = shell.run(PROGRAM, "token")
    assert again.out == out
    assert len(server.token_requests) == 1
    assert shell.run(PROGRAM, "token", "--header").out == f"Authorization: Bearer {out}"


def test_token_prints_only_the_token_after_a_retry_beside_structlog(
    shell: Shell, server: MediaHoundServer
) -> None:
    server.respond_to_token_requests(1, status=503)
    code, out, err = shell.run(PROGRAM, "token")
    assert (code, out.count("\n"), err) == (0, 1, "")
    assert len(server.token_requests) == 2


def test_token_prints_all_fields_as_json(shell: Shell) -> None:
    fields = json.loads(shell.run(PROGRAM, "token", "--json").out)
    assert fields["token_type"] == "Bearer"
    assert fields["scope"] == "public_profile"
    assert fields["expires_at"] - fields["requested_at"] == pytest.approx(1_209_600)
    assert fields["authorization"] == f"Bearer {fields['access_token']}"
    assert fields["returned_again"] is False


@pytest.mark.programs
@pytest.mark.parametrize(
    "call",
    [
        'curl -sS -H "$(mediahound-auth token --header)" {url}',
        "mediahound-auth token --header | curl -sS -H @- {url}",
    ],
    ids=["as an argument", "through a pipe"],
)
def test_curl_calls_the_api_with_it(shell: Shell, server: MediaHoundServer, call: str) -> None:
    url = f"{server.url}/1.3/search/all/Gladiator"
    for _ in range(2):
        code, out, err = shell.run("bash", "-euo", "pipefail", "-c", call.format(url=url))
        assert (code, err) == (0, "")
        assert json.loads(out)["results"][0]["name"] == "Gladiator"
    assert len(server.token_requests) == 1


def test_eight_commands_at_once_are_one_token_request(
    shell: Shell, server: MediaHoundServer
) -> None:
    with server.hold_token_requests() as hold:
        running = [shell.start(PROGRAM, "token") for _ in range(8)]
        hold.wait_for(1, 30)
    ends = [process.communicate(timeout=60) for process in running]
    assert len(set(ends)) == 1, ends
    assert len(server.token_requests) == 1


def test_options_replace_environment_variables(
    shell: Shell, server: MediaHoundServer, client_id: str
) -> None:
    for name in ("MEDIAHOUND_CLIENT_ID", "MEDIAHOUND_TOKEN_URL"):
        del shell.environment[name]
    given = ["--client-id", client_id, "--token-url", server.token_url, "--scope", "public_profile"]
    form = ["--client-auth", "client_secret_basic", "--timeout", "20"]
    with MediaHoundServer(client_id=client_id, client_auth="client_secret_basic") as strict:
        options = [strict.token_url if word == server.token_url else word for word in given]
        assert shell.run(PROGRAM, "token", *options, *form).code == 0
    assert shell.run(PROGRAM, "token", *given).code == 0
    assert b"scope=public_profile" in server.token_requests[0].body


def test_parameters_are_sent_and_tell_tokens_apart(shell: Shell, server: MediaHoundServer) -> None:
    given = ["--parameter", "resource=a=b", "--parameter", "resource=c", "--parameter", "x=y"]
    for command in ("token", "token", "forget", "token", "check"):
        code, _, err = shell.run(PROGRAM, command, *given)
        assert code == 0, err
    posts = [request for request in server.token_requests if request.method == "POST"]
    assert len(posts) == 3
    for request in posts:
        fields = parse_qs(request.body.decode())
        assert (fields["resource"], fields["x"]) == (["a=b", "c"], ["y"])


def test_an_assertion_is_read_like_the_secret(shell: Shell, client_id: str, tmp_path: Path) -> None:
    projected = tmp_path / "federated"
    projected.write_text("a.b.c\n")
    options = ["--client-auth", "client_assertion", "--client-secret-file", str(projected)]
    with MediaHoundServer(
        client_id=client_id, client_secret="a.b.c", client_auth="client_assertion"
    ) as server:
        shell.environment.update(server.environment)
        assert shell.run(PROGRAM, "token", *options[:2]).code == 0
        del shell.environment["MEDIAHOUND_CLIENT_SECRET"]
        assert shell.run(PROGRAM, "check", *options).code == 0
        assert [request.status for request in server.token_requests] == [200, 405, 200]


def test_forget_drops_the_token(shell: Shell, server: MediaHoundServer) -> None:
    shell.run(PROGRAM, "token")
    deleted = f"Deleted the stored token of client {server.client_id!r}.\n"
    assert shell.run(PROGRAM, "forget") == (0, deleted, "")
    shell.run(PROGRAM, "token")
    assert len(server.token_requests) == 2


def test_forget_says_if_no_token_is_stored_for_its_options(
    shell: Shell, server: MediaHoundServer
) -> None:
    shell.run(PROGRAM, "token")
    none = f"No token of client {server.client_id!r} is stored for these options and this secret.\n"
    assert shell.run(PROGRAM, "forget", "--scope", "other") == (0, none, "")
    shell.run(PROGRAM, "token")
    assert len(server.token_requests) == 1
    shell.run(PROGRAM, "forget")
    assert shell.run(PROGRAM, "forget") == (0, none, "")


def test_forget_deletes_a_damaged_token(shell: Shell, tmp_path: Path) -> None:
    shell.run(PROGRAM, "token")
    [file] = tmp_path.glob("mediahound-auth/*.json")
    file.write_text("damaged")
    code, out, _ = shell.run(PROGRAM, "forget")
    assert (code, out.split()[0]) == (0, "Deleted")
    assert not file.exists()


def test_a_store_that_fails_is_reported_and_costs_no_token(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mediahound-auth").symlink_to(tmp_path / "elsewhere")
    code, out, err = shell.run(PROGRAM, "token")
    assert (code, out.count("\n"), err.count("\n")) == (0, 1, 1)
    assert err.startswith("mediahound-auth: warning: FileStore(")
    code, out, err = shell.run(PROGRAM, "forget")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert " failed to discard (" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["token", "--client-secret", "TopSecret"], "No such option"),
        (["token", "--client-secret=TopSecret"], "No such option"),
        (["token", "TopSecret"], "options only"),
        (["TopSecret"], "no such command"),
        (["token", "--header", "--json"], "not both"),
        (["serve", "--lifetime", "inf"], "--lifetime must be a number of seconds"),
        (["token", "--timeout", "soon"], "--timeout"),
        (["token", "--parameter", "TopSecret"], "--parameter must be NAME=VALUE"),
        (["token", "--parameter", "client_secret=TopSecret"], "--parameter cannot contain"),
        (["token", "--timeout", "-1"], "timeout"),
        (["token", "--client-auth", "digest"], "client_secret_basic"),
        (["token", "--token-url", "http://api.example.com/token"], "https"),
        (["serve", "--client-auth", "digest"], "client_secret_basic"),
    ],
)
def test_a_wrong_command_is_one_error_line_without_the_secret(
    shell: Shell, arguments: list[str], said: str
) -> None:
    code, out, err = shell.run(PROGRAM, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("mediahound-auth: ")
    assert err.count("\n") == 1
    assert said in err
    assert "TopSecret" not in err


@pytest.mark.parametrize(
    ("missing", "options"),
    [("CLIENT_ID", ["--client-id"]), ("CLIENT_SECRET", ["--client-secret-file"])],
)
def test_a_missing_option_is_named_as_on_the_command_line(
    shell: Shell, missing: str, options: list[str]
) -> None:
    code, out, err = shell.run(PROGRAM, "token", **{f"MEDIAHOUND_{missing}": ""})
    assert (code, out, err.count("\n")) == (2, "", 1)
    for word in (*options, f"MEDIAHOUND_{missing}"):
        assert f" {word}" in err


def test_a_rejected_client_and_an_outage_have_different_exit_codes(
    shell: Shell, server: MediaHoundServer
) -> None:
    code, out, err = shell.run(PROGRAM, "token", MEDIAHOUND_CLIENT_SECRET="wr0ng")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "invalid_client" in err
    assert "wr0ng" not in err
    server.respond_to_token_requests(1, status=503)
    server.respond_to_token_requests(1, **UNAVAILABLE)  # type: ignore[arg-type]
    code, out, err = shell.run(PROGRAM, "token")
    assert (code, out, err.count("\n")) == (3, "", 1), err
    assert "is unavailable" in err


def test_ctrl_c_ends_token_at_once(shell: Shell, server: MediaHoundServer) -> None:
    with server.hold_token_requests() as hold:
        terminal = Terminal(shell, PROGRAM, "token")
        hold.wait_for(1, 30)
        terminal.type("\x03")
        code, out, shown = terminal.end()
    assert (code, out) == (130, "")
    assert shown.strip() == "^C"


def test_a_reader_that_closes_the_pipe_is_not_an_error(shell: Shell) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [PROGRAM, "token"], env=shell.environment, stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_token_that_cannot_be_written_is_one_error_line(shell: Shell) -> None:
    code, _, err = shell.run("bash", "-c", "mediahound-auth token > /dev/full")
    assert (code, err) == (1, "mediahound-auth: No space left on device\n")
    code, _, err = shell.run("bash", "-c", "mediahound-auth token >&-")
    assert (code, err) == (1, "mediahound-auth: standard output is closed\n")


def test_without_a_command_there_is_help_that_names_the_exit_codes(shell: Shell) -> None:
    code, out, err = shell.run(PROGRAM)
    assert (code, out) == (2, "")
    for word in ("token", "check", "forget", "serve", "demo", "Exit codes: 0", "3 token endpoint"):
        assert word in err
    assert shell.run(PROGRAM, "--help").code == 0
    assert "standard input" in shell.run(PROGRAM, "token", "--help").out
    assert shell.run(PROGRAM, "--version", "token") == (0, f"{__version__}\n", "")


def test_help_imports_no_http_library(shell: Shell) -> None:
    done = shell.run(sys.executable, "-X", "importtime", str(BIN / PROGRAM), "token", "--help")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.err.splitlines()}
    assert "typer" in imported
    assert not imported & {"requests", "httpx", "oauthlib", "filelock", "rich"}


def test_without_typer_it_says_what_to_install(shell: Shell) -> None:
    code = "import sys; sys.modules['typer'] = None; import mediahound_auth._cli.app"
    done = shell.run(sys.executable, "-c", code)
    assert done.code == 2
    assert done.err == "mediahound-auth needs typer: pip install 'mediahound-auth[cli]'\n"


@pytest.mark.parametrize("library", ["requests", "filelock"])
def test_without_another_library_it_says_what_to_install(shell: Shell, library: str) -> None:
    code = (
        f"import sys; sys.modules['{library}'] = None; "
        "from mediahound_auth._cli.app import main; main()"
    )
    done = shell.run(sys.executable, "-c", code, "token")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert f"needs {library}: pip install 'mediahound-auth[" in done.err


def test_an_unexpected_error_has_a_traceback(shell: Shell) -> None:
    code = (
        "from mediahound_auth._cli.app import app, main; app.command('odd')(lambda: 1 / 0); main()"
    )
    done = shell.run(sys.executable, "-c", code, "odd")
    assert done.code == 1
    assert "ZeroDivisionError" in done.err
