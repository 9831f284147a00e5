"""The pytest plugin."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

ENTRY_POINT = "mediahound_auth.testing.pytest_plugin"


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of all packages that are installed here take seconds to load."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", ENTRY_POINT)


def test_pytest_loads_it_by_itself() -> None:
    [found] = entry_points(group="pytest11", name="mediahound_auth")
    assert found.value == ENTRY_POINT


THEIR_APP = """
    import requests
    from mediahound_auth.requests import MediaHoundAuth

    def search(api, title):
        reply = requests.get(f"{api}/1.3/search/all/{title}", auth=MediaHoundAuth(), timeout=10)
        reply.raise_for_status()
        return reply.json()["results"][0]["name"]
"""


def test_the_fixture_brings_a_server_whose_credentials_are_in_the_environment(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(their_app=THEIR_APP)
    pytester.makepyfile(
        """
        import os, pytest
        from their_app import search

        clients = set()

        def test_one(mediahound_server):
            assert search(mediahound_server.url, "Gladiator") == "Gladiator"
            assert len(mediahound_server.token_requests) == 1
            clients.add(os.environ["MEDIAHOUND_CLIENT_ID"])

        def test_another_has_no_token_of_the_first(mediahound_server):
            assert search(mediahound_server.url, "Alien") == "Alien"
            assert len(mediahound_server.token_requests) == 1
            clients.add(os.environ["MEDIAHOUND_CLIENT_ID"])
            assert len(clients) == 2

        @pytest.mark.mediahound_server(client_id="us", lifetime=60)
        def test_it_takes_options(mediahound_server):
            from mediahound_auth.requests import MediaHoundAuth
            assert mediahound_server.client_id == "us"
            token = MediaHoundAuth().token()
            assert token.expires_at - token.requested_at <= 60

        def test_afterwards_the_environment_is_as_it_was():
            assert "MEDIAHOUND_CLIENT_ID" not in os.environ
        """
    )
    done = pytester.runpytest_inprocess("--strict-markers", "-W", "error")
    done.assert_outcomes(passed=4)


def test_an_unknown_option_of_the_marker_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.mediahound_server(60)
        def test_without_a_name(mediahound_server): ...

        @pytest.mark.mediahound_server(lifetme=60)
        def test_mistyped(mediahound_server): ...
        """
    )
    done = pytester.runpytest_inprocess()
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(["E*TypeError*MediaHoundServer*"] * 2)


def test_the_fixture_and_the_marker_explain_themselves(pytester: pytest.Pytester) -> None:
    fixtures = pytester.runpytest_inprocess("--fixtures")
    fixtures.stdout.fnmatch_lines(["mediahound_server*", "*fake MediaHound server*"])
    markers = pytester.runpytest_inprocess("--markers")
    markers.stdout.fnmatch_lines(["@pytest.mark.mediahound_server(*"])


def test_the_plugin_imports_nothing_slow() -> None:
    code = "import mediahound_auth.testing.pytest_plugin, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "mediahound_auth.testing.pytest_plugin" in loaded
    slow = {"mediahound_auth.testing.server", "oauthlib", "requests", "httpx", "httpx2"}
    assert not slow & set(loaded)
