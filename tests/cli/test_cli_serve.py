"""`mediahound-auth serve` and `demo`: a fake server, from the shell."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import pytest
import requests
from commands import Shell
from timing import wait_until_blocked

PROGRAM = "mediahound-auth"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {})


def read_by_bash(shell: Shell, exports: str) -> dict[str, str]:
    """The variables of MediaHound that a shell has after these lines."""
    done = shell.run("bash", "-euc", f"{exports}\nenv")
    pairs = [line.partition("=")[::2] for line in done.out.splitlines()]
    return {name: value for name, value in pairs if name.startswith("MEDIAHOUND_")}


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_serve_prints_export_lines_and_ends_at_a_signal(shell: Shell, end: signal.Signals) -> None:
    started = shell.start(
        PROGRAM,
        "serve",
        "--lifetime",
        "60",
        "--fail-token-requests",
        "1",
        "--drop-token-requests",
        "1",
    )
    assert started.stdout is not None
    lines = [started.stdout.readline() for _ in range(5)]
    assert lines[-1].startswith(
        "# Press Ctrl-C to stop the fake MediaHound server at http://127.0.0.1:"
    )
    done = shell.run(PROGRAM, "token", "--json", **read_by_bash(shell, "".join(lines)))
    assert (done.code, done.err) == (0, "")
    fields = json.loads(done.out)
    assert fields["expires_at"] - time.time() < 60
    port = lines[-1].split(":")[-1].split()[0]
    taken = shell.run(PROGRAM, "serve", "--port", port)
    assert (taken.code, taken.err) == (2, "mediahound-auth: --port: Address already in use\n")
    started.send_signal(end)
    assert started.communicate(timeout=30) == ("", "")
    assert started.returncode == 0


def test_serve_can_be_as_strict_as_other_servers_and_reject_all_calls(shell: Shell) -> None:
    options = ["--client-auth", "client_secret_post", "--new-tokens", "--reject-api-requests"]
    started = shell.start(PROGRAM, "serve", *options)
    assert started.stdout is not None
    lines = [started.stdout.readline() for _ in range(5)]
    variables, url = read_by_bash(shell, "".join(lines)), lines[-1].split()[-1]
    refused = shell.run(PROGRAM, "token", **variables)
    assert refused.code == 1
    strict = ["--client-auth", "client_secret_post"]
    done = shell.run(PROGRAM, "token", *strict, "--header", **variables)
    name, _, value = done.out.strip().partition(": ")
    reply = requests.get(f"{url}/1.3/search/all/Gladiator", headers={name: value}, timeout=20)
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")
    started.terminate()
    assert started.communicate(timeout=30) == ("", "")


CALL = """
import os, sys, requests
from mediahound_auth.requests import MediaHoundAuth
url = os.environ["MEDIAHOUND_API_URL"] + "/1.3/search/all/Gladiator"
print(requests.get(url, auth=MediaHoundAuth()).status_code, *sys.argv[1:])
sys.exit(7)
"""


@pytest.mark.parametrize("separator", [["--"], []])
def test_serve_runs_a_command_and_returns_its_exit_status(
    shell: Shell, tmp_path: Path, separator: list[str]
) -> None:
    (tmp_path / "app.py").write_text(CALL)
    command = [sys.executable, str(tmp_path / "app.py"), "--quiet", "--", "-x"]
    done = shell.run(PROGRAM, "serve", "--lifetime", "60", *separator, *command)
    assert done == (7, "200 --quiet -- -x\n", "")


def test_serve_passes_signals_on_and_reports_the_one_that_ended_the_command(shell: Shell) -> None:
    wait = "import signal; print('up', flush=True); signal.pause()"
    started = shell.start(PROGRAM, "serve", "--", sys.executable, "-c", wait)
    assert started.stdout is not None
    assert started.stdout.readline() == "up\n"
    started.send_signal(signal.SIGINT)  # as Ctrl-C does, for which the command is waited for
    wait_until_blocked(started.pid)
    started.send_signal(signal.SIGTERM)
    started.communicate(timeout=30)
    assert started.returncode == 128 + signal.SIGTERM


def test_serve_says_why_a_command_that_calls_another_host_gets_no_token(shell: Shell) -> None:
    call = CALL.replace('os.environ["MEDIAHOUND_API_URL"]', '"http://127.0.0.2:1"')
    done = shell.run(PROGRAM, "serve", "--", sys.executable, "-c", call)
    assert done.code == 1
    assert "warning: the command sent no API request to the fake server" in done.err
    assert "(MEDIAHOUND_API_URL)" in done.err


def test_serve_leaves_the_last_word_to_a_command_whose_token_request_is_rejected(
    shell: Shell,
) -> None:
    call = CALL.replace("MediaHoundAuth()", "MediaHoundAuth(client_secret='wrong')")
    done = shell.run(PROGRAM, "serve", "--", sys.executable, "-c", call)
    assert done.code == 1
    assert "rejected client" in done.err.splitlines()[-1]


def test_serve_says_that_a_command_cannot_be_run(shell: Shell) -> None:
    done = shell.run(PROGRAM, "serve", "--", "no-such-command")
    cannot = "mediahound-auth: cannot run the command: No such file or directory\n"
    assert done == (2, "", cannot)


def test_demo_shows_the_package_at_work(shell: Shell) -> None:
    code, out, err = shell.run(PROGRAM, "demo")
    assert (code, err) == (0, "")
    assert "the first call requests a token" in out
    assert "invalid_client" in out
    assert "MyClientSecret" not in out
