"""How `mediahound-auth` reads the client secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import Shell, Terminal

from mediahound_auth.testing import MediaHoundServer

PROGRAM = "mediahound-auth"


@pytest.fixture
def shell(server: MediaHoundServer, tmp_path: Path) -> Shell:
    """With everything but the secret in its environment."""
    environment = server.environment
    del environment["MEDIAHOUND_CLIENT_SECRET"]
    return Shell(tmp_path, environment)


@pytest.mark.parametrize("before", ["", "\ufeff"], ids=["", "after a byte order mark"])
@pytest.mark.parametrize("way", ["file", "standard input"])
def test_the_secret_comes_from_a_file_or_from_standard_input(
    shell: Shell, server: MediaHoundServer, tmp_path: Path, way: str, before: str
) -> None:
    secret = f"{before}{server.client_secret}\r\n"
    file = tmp_path / "secret"
    file.write_text(secret, encoding="utf-8", newline="")
    path = {"file": str(file), "standard input": "-"}[way]
    code, out, err = shell.run(PROGRAM, "token", "--client-secret-file", path, given=secret)
    assert (code, err) == (0, "")
    assert out


def test_the_secret_comes_from_a_process_substitution(
    shell: Shell, server: MediaHoundServer
) -> None:
    command = f"{PROGRAM} token --client-secret-file <(echo {server.client_secret})"
    code, out, err = shell.run("bash", "-c", command)
    assert (code, err) == (0, "")
    assert out


def test_a_secret_file_takes_precedence_over_the_environment(
    shell: Shell, server: MediaHoundServer, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(server.client_secret)
    given = ["--client-secret-file", str(tmp_path / "secret")]
    assert shell.run(PROGRAM, "token", *given, MEDIAHOUND_CLIENT_SECRET="wr0ng").code == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"\n", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b"s" * 70_000, "too long"),
    ],
    ids=["missing", "empty", "not UTF-8", "too long"],
)
def test_an_invalid_secret_file_is_one_error_line(
    shell: Shell, tmp_path: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    path = str(tmp_path / "secret")
    code, out, err = shell.run(PROGRAM, "token", "--client-secret-file", path)
    assert (code, out) == (2, "")
    assert err.startswith("mediahound-auth: --client-secret-file: ")
    assert said in err
    assert path not in err, "it may be the secret itself"
    assert err.count("\n") == 1


def test_closed_standard_input_is_one_error_line(shell: Shell) -> None:
    done = shell.run("bash", "-c", f"{PROGRAM} token --client-secret-file - <&-")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "Bad file descriptor" in done.err


def test_there_is_no_prompt_without_a_terminal(shell: Shell) -> None:
    for redirection in ("</dev/null", "<&-"):
        done = shell.run("bash", "-c", f"{PROGRAM} token {redirection}")
        assert (done.code, done.err.count("\n")) == (2, 1)
        assert "no client_secret: pass --client-secret-file or set" in done.err


@pytest.mark.parametrize("options", [[], ["--client-secret-file", "-"]], ids=["", "asked for"])
def test_on_a_terminal_there_is_a_prompt_that_does_not_show_the_secret(
    shell: Shell, server: MediaHoundServer, options: list[str]
) -> None:
    terminal = Terminal(shell, PROGRAM, "token", *options)
    terminal.see("Client secret: ")
    terminal.type(f"{server.client_secret}\n")
    code, out, shown = terminal.end()
    assert code == 0
    assert out.strip()
    assert shown.strip() == "Client secret:"


@pytest.mark.parametrize("key", ["\x04", "\x03"], ids=["Ctrl-D", "Ctrl-C"])
def test_ctrl_c_at_the_prompt_prints_no_traceback(shell: Shell, key: str) -> None:
    terminal = Terminal(shell, PROGRAM, "token")
    terminal.see("Client secret: ")
    terminal.type(key)
    code, out, shown = terminal.end()
    assert (code, out) == (130, "")
    assert shown.replace("^C", "").strip() == "Client secret:"


def test_ids_and_secrets_may_be_any_text(tmp_path: Path, client_id: str) -> None:
    credentials = {"client_id": f"{client_id}:ä", "client_secret": "a:b c%'\"\\$ö:"}
    with MediaHoundServer(**credentials) as server:  # type: ignore[arg-type]
        done = Shell(tmp_path, server.environment).run(PROGRAM, "token")
    assert (done.code, done.err) == (0, "")
