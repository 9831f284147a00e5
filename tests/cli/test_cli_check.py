"""`mediahound-auth check`: each step says `ok`, or how to fix what fails."""

from __future__ import annotations

from pathlib import Path

import ports
import pytest
from commands import Shell

from mediahound_auth.testing import MediaHoundServer


def check(server: MediaHoundServer, home: Path, *options: str) -> tuple[int, dict[str, str], str]:
    """The exit code, the steps with what was said of each, and the errors."""
    done = Shell(home, server.environment).run("mediahound-auth", "check", *options)
    lines = [line.split(maxsplit=2) for line in done.out.splitlines()]
    return done.code, {step: f"{mark} {what}" for mark, step, what in lines}, done.err


def test_check_prints_ok_for_each_step(server: MediaHoundServer, tmp_path: Path) -> None:
    code, steps, err = check(server, tmp_path)
    assert (code, err) == (0, "")
    assert list(steps) == ["configuration", "reachability", "grant", "lifetime", "scope"]
    assert all(said.startswith("ok ") for said in steps.values())
    assert server.token_url in steps["configuration"]
    assert "1209600 s (14 days)" in steps["lifetime"]
    assert "public_profile" in steps["scope"]
    assert len(server.token_requests) == 2  # the first one is without credentials
    assert "Authorization" not in server.token_requests[0].headers


def test_check_does_not_show_the_query_of_token_url(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    _, steps, _ = check(server, tmp_path, "--token-url", f"{server.token_url}?key=pri-vate")
    assert steps["configuration"].endswith(server.token_url)


@pytest.mark.parametrize(("seconds", "said"), [(7200, "2 hours"), (240, "4 minutes"), (90, "90 s")])
def test_a_short_lifetime_is_explained(
    client_id: str, tmp_path: Path, seconds: int, said: str
) -> None:
    with MediaHoundServer(client_id=client_id, lifetime=seconds) as server:
        code, steps, _ = check(server, tmp_path)
    assert code == 0
    assert said in steps["lifetime"]
    assert ("probably the remaining lifetime" in steps["lifetime"]) is (seconds <= 300)


@pytest.mark.parametrize("granted", [True, False])
def test_text_of_a_server_does_not_act_on_the_terminal(
    server: MediaHoundServer, tmp_path: Path, granted: bool
) -> None:
    scope = "one \x1b[1A\x1b]0;title\x07\u202e\u2066two\x9b2J\r"
    token = {"access_token": "t0ken-t0ken", "expires_in": 600, "scope": scope}
    options = [] if granted else ["--scope", "one three"]
    # The first one is without credentials.
    server.respond_to_token_requests(2, status=200, body=token)
    done = Shell(tmp_path, server.environment).run("mediahound-auth", "check", *options)
    assert done.code == (0 if granted else 1)
    assert "granted: one" in done.out
    assert (done.out + done.err).replace("\n", "").isprintable()


def test_an_error_of_a_server_does_not_act_on_the_terminal(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    error = {"error": "invalid_scope", "error_description": "\x1b[1A\u202eno\x07"}
    for command in ("check", "token"):
        server.respond_to_token_requests(2, status=400, body=error)
        done = Shell(tmp_path, server.environment).run("mediahound-auth", command)
        assert done.code == 1
        assert "invalid_scope" in done.out + done.err
        assert (done.out + done.err).replace("\n", "").isprintable()


def test_a_configuration_error_ends_check_at_its_first_step(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    code, steps, err = check(server, tmp_path, "--token-url", "http://api.example.com/token")
    assert (code, steps) == (2, {})
    assert "--token-url must be an https URL" in err


def test_an_endpoint_that_cannot_be_reached_is_reported(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    server.stop()
    with ports.held(int(server.url.rpartition(":")[2])):
        code, steps, err = check(server, tmp_path)
    assert (code, err) == (3, "")
    assert steps["reachability"].startswith("FAIL ")
    assert "Connection refused" in steps["reachability"]
    assert "proxies" in steps["reachability"]


def test_a_rejected_client_is_reported(server: MediaHoundServer, tmp_path: Path) -> None:
    code, steps, err = check(server, tmp_path, "--client-auth", "client_secret_basic")
    assert (code, err) == (1, "")
    assert steps["grant"].startswith("FAIL ")
    assert "--client-auth 'client_secret_basic'" in steps["grant"]


def test_an_endpoint_that_responds_with_503_is_reachable(
    server: MediaHoundServer, tmp_path: Path
) -> None:
    server.respond_to_token_requests(2, status=503, headers={"Retry-After": "3600"})
    code, steps, err = check(server, tmp_path)
    assert (code, err) == (3, "")
    assert steps["reachability"].startswith(
        "ok connected: GET without credentials returned HTTP 503"
    )
    assert steps["grant"].startswith("FAIL ")
    assert "is unavailable" in steps["grant"]


def test_a_scope_that_was_not_granted_is_reported(server: MediaHoundServer, tmp_path: Path) -> None:
    token = {"access_token": "a", "token_type": "bearer", "expires_in": 600, "scope": "one"}
    server.respond_to_token_requests(1, status=405)
    server.respond_to_token_requests(1, status=200, body=token)
    code, steps, _ = check(server, tmp_path, "--scope", "one two")
    assert code == 1
    assert steps["scope"].startswith("FAIL granted: one; not granted: two.")


def test_check_does_not_send_credentials_of_netrc(server: MediaHoundServer, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert check(server, tmp_path)[0] == 0
    assert "Authorization" not in server.token_requests[0].headers


def test_check_leaves_the_stored_token_alone(server: MediaHoundServer, tmp_path: Path) -> None:
    shell = Shell(tmp_path, server.environment)
    before = shell.run("mediahound-auth", "token").out
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    check(server, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept
    assert shell.run("mediahound-auth", "token").out == before
