"""The HTTPie plugin, in the real `http` program."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from commands import Done, Shell, Terminal

from mediahound_auth.testing import MediaHoundServer

API = "/1.3/search/all/Gladiator"

WITHOUT_HTTPIE = """
import sys

class Nothing:
    @staticmethod
    def find_spec(name, *_):
        if name == "httpie":
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, Nothing)
import mediahound_auth._cli.httpie
"""


@pytest.fixture
def shell(server: MediaHoundServer, tmp_path: Path) -> Shell:
    """With the token URL in its environment, and no credentials."""
    return Shell(tmp_path, {"MEDIAHOUND_TOKEN_URL": server.token_url})


@pytest.fixture
def informed(shell: Shell, server: MediaHoundServer) -> Shell:
    """With credentials as well."""
    shell.environment.update(server.environment)
    return shell


def http(shell: Shell, *arguments: str, **variables: str) -> Done:
    return shell.run("http", "--ignore-stdin", "--body", *arguments, **variables)


def found(done: Done) -> str:
    assert (done.code, done.err) == (0, ""), done
    return str(json.loads(done.out)["results"][0]["name"])


def test_credentials_may_be_arguments(shell: Shell, server: MediaHoundServer) -> None:
    pair = f"{server.client_id}:{server.client_secret}"
    for _ in range(2):
        assert found(http(shell, "-A", "mediahound", "-a", pair, server.url + API)) == "Gladiator"
    assert len(server.token_requests) == 1


def test_credentials_may_be_in_the_environment(informed: Shell, server: MediaHoundServer) -> None:
    assert found(http(informed, "-A", "mediahound", server.url + API)) == "Gladiator"


def test_httpie_prompts_for_a_missing_secret_and_does_not_show_it(
    shell: Shell, server: MediaHoundServer
) -> None:
    command = ["http", "--body", "-A", "mediahound", "-a", server.client_id, server.url + API]
    terminal = Terminal(shell, *command)
    terminal.see("password for ")
    terminal.see(": ")
    terminal.type(f"{server.client_secret}\n")
    code, out, shown = terminal.end()
    assert code == 0, shown
    assert "Gladiator" in out
    assert server.client_secret not in shown


def test_an_empty_id_or_secret_is_read_from_the_environment(
    informed: Shell, server: MediaHoundServer
) -> None:
    for pair in (f"{server.client_id}:", f":{server.client_secret}"):
        assert found(http(informed, "-A", "mediahound", "-a", pair, server.url + API))


def test_ids_and_secrets_may_have_colons(tmp_path: Path, client_id: str) -> None:
    with MediaHoundServer(client_id=f"{client_id}:1", client_secret="a:b:c") as server:
        shell = Shell(tmp_path, {"MEDIAHOUND_TOKEN_URL": server.token_url})
        pair = rf"{client_id}\:1:a:b:c"  # HTTPie's own way to write it
        assert found(http(shell, "-A", "mediahound", "-a", pair, server.url + API)) == "Gladiator"
        environment = server.environment
        assert found(http(shell, "-A", "mediahound", server.url + API, **environment))
    assert len(server.token_requests) == 1


def test_it_shares_the_token_with_the_command_line(
    informed: Shell, server: MediaHoundServer
) -> None:
    token = informed.run("mediahound-auth", "token").out.strip()
    assert found(http(informed, "-A", "mediahound", server.url + API)) == "Gladiator"
    assert server.api_requests[0].headers["Authorization"] == f"Bearer {token}"
    assert len(server.token_requests) == 1


def test_a_revoked_token_is_replaced_and_the_body_sent_again(
    informed: Shell, server: MediaHoundServer
) -> None:
    call = ["-A", "mediahound", "POST", server.url + "/1.3/collection", "name=Films"]
    assert http(informed, *call).code == 0
    server.revoke_tokens()
    assert http(informed, *call).code == 0
    assert len(server.token_requests) == 2
    assert [call.status for call in server.api_requests] == [200, 401, 200]
    assert {bytes(call.body) for call in server.api_requests} == {b'{"name": "Films"}'}


def test_an_api_that_rejects_everything_is_seen_by_check_status(
    informed: Shell, server: MediaHoundServer
) -> None:
    server.reject_api_requests = True
    done = http(informed, "-A", "mediahound", "--check-status", server.url + API)
    assert done.code == 4
    assert "401 Unauthorized" in done.err
    assert len(server.token_requests) <= 2


def test_the_httpie_plugin_ignores_netrc(
    shell: Shell, server: MediaHoundServer, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    (tmp_path / ".netrc").chmod(0o600)
    done = http(shell, "-A", "mediahound", server.url + API)
    assert done.code == 1
    assert "no client_id" in done.err
    assert not server.token_requests
    environment = server.environment
    assert found(http(shell, "-A", "mediahound", server.url + API, **environment)) == "Gladiator"


@pytest.mark.parametrize("given", [True, False], ids=["with -a", "by the environment"])
def test_an_httpie_session_keeps_the_authentication(
    shell: Shell, server: MediaHoundServer, given: bool
) -> None:
    pair = ["-a", f"{server.client_id}:{server.client_secret}"] if given else []
    variables = {} if given else server.environment
    first = ["--session", "films", "-A", "mediahound", *pair, server.url + API]
    assert found(http(shell, *first, **variables)) == "Gladiator"
    assert found(http(shell, "--session", "films", server.url + API, **variables)) == "Gladiator"
    assert [call.status for call in server.api_requests] == [200, 200]
    sessions = "".join(file.read_text() for file in Path(shell.environment["HOME"]).rglob("films*"))
    assert (server.client_secret in sessions) is given
    assert "Bearer" not in sessions


def test_offline_shows_the_request_with_its_token(
    informed: Shell, server: MediaHoundServer
) -> None:
    token = informed.run("mediahound-auth", "token").out.strip()
    url = server.url + API
    done = informed.run("http", "--ignore-stdin", "--offline", "-A", "mediahound", url)
    assert (done.code, done.err) == (0, "")
    assert f"Authorization: Bearer {token}" in done.out
    assert not server.api_requests
    assert len(server.token_requests) == 1


def test_a_redirect_takes_the_token_along_to_its_own_origin_only(
    informed: Shell, server: MediaHoundServer
) -> None:
    with MediaHoundServer() as other:
        for target in (server, other):
            server.respond_to_api_requests(1, status=302, headers={"Location": target.url + API})
            http(informed, "-A", "mediahound", "--follow", server.url + "/1.3/old")
    assert [call.status for call in server.api_requests] == [302, 200, 302]
    assert [call.headers["Authorization"] for call in other.api_requests] == [None]


def test_another_origin_gets_no_token_and_a_line_says_so(
    informed: Shell, server: MediaHoundServer
) -> None:
    with MediaHoundServer() as other:
        done = http(informed, "-A", "mediahound", other.url + API)
    said = f"not sending the access token to {other.url}, which is not an allowed origin"
    assert done.err == f"http: warning: {said}\n"
    assert [call.headers["Authorization"] for call in other.api_requests] == [None]
    assert not server.token_requests


def test_missing_credentials_are_one_error_line(shell: Shell, server: MediaHoundServer) -> None:
    for option in ("--verbose", "--traceback"):
        code, out, err = http(shell, option, "-A", "mediahound", server.url + API)
        said = "http: error: no client_id: pass -a ID:SECRET or set MEDIAHOUND_CLIENT_ID"
        assert (code, out, err.strip()) == (1, "", said)


@pytest.mark.parametrize("option", ["--verbose", "--traceback", "--debug"])
def test_a_rejected_client_is_reported_without_its_secret(
    informed: Shell, server: MediaHoundServer, option: str
) -> None:
    url = server.url + API
    done = http(informed, option, "-A", "mediahound", url, MEDIAHOUND_CLIENT_SECRET="wr0ng")
    assert done.code == 1
    (line,) = (line for line in done.err.splitlines() if line.startswith("http: error:"))
    assert "InvalidClientError: the token endpoint" in line
    assert "wr0ng" not in done.err
    assert ("Traceback" in done.err) is (option != "--verbose")


def test_httpie_without_the_extra_works_and_the_plugin_names_it(
    informed: Shell, server: MediaHoundServer
) -> None:
    without = "import sys; sys.modules['filelock'] = None; from httpie.__main__ import main; "
    python = [sys.executable, "-c", f"{without}sys.exit(main())", "--ignore-stdin"]
    done = informed.run(*python, "--offline", server.url)
    assert (done.code, done.err) == (0, "")
    done = informed.run(*python, "-A", "mediahound", server.url + API)
    assert done.code == 1
    assert "http: error: FileStore needs filelock: pip install 'mediahound-auth[" in done.err


def test_without_httpie_it_says_what_to_install(shell: Shell) -> None:
    done = shell.run(sys.executable, "-c", WITHOUT_HTTPIE)
    assert done.code == 1
    said = "mediahound_auth._cli.httpie needs httpie: pip install 'mediahound-auth[httpie]'"
    # Python 3.15 appends the name of a similar module: "Did you mean: …?"
    last = done.err.splitlines()[-1].partition(". Did you mean: ")[0]
    assert last == f"ModuleNotFoundError: {said}"


def test_http_help_names_it(shell: Shell) -> None:
    assert "mediahound" in shell.run("http", "--help").out
