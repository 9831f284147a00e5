"""What importing the package loads, and what it says when a library is missing."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterable

import pytest

from mediahound_auth.testing import MediaHoundServer

HTTP_LIBRARIES = {"requests", "urllib3", "httpx", "httpcore", "httpx2", "httpcore2", "aiohttp"}
PROTOCOL = {"oauthlib"}


def run(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def without(libraries: Iterable[str], code: str) -> str:
    """What a fresh interpreter prints in which these libraries are not installed."""
    # What is None in sys.modules cannot be imported.
    missing = f"import sys\nsys.modules.update(dict.fromkeys({sorted(libraries)!r}))\n"
    return run(missing + textwrap.dedent(code))


def test_importing_the_package_loads_no_http_library_and_no_protocol_code() -> None:
    loaded = run("import mediahound_auth, sys; print(*sys.modules)").split()
    assert "mediahound_auth" in loaded
    assert not (HTTP_LIBRARIES | PROTOCOL) & set(loaded)


def test_the_package_works_without_any_http_library() -> None:
    said = without(HTTP_LIBRARIES, "import mediahound_auth; print(mediahound_auth.__version__)")
    assert said


@pytest.mark.parametrize(
    ("library", "not_loaded"),
    [
        ("requests", {"httpx", "httpcore", "httpx2", "httpcore2", "anyio"}),
        ("httpx", {"requests", "urllib3", "httpx2", "httpcore2"}),
        ("httpx2", {"requests", "urllib3", "httpx", "httpcore"}),
    ],
    ids=["requests", "httpx", "httpx2"],
)
def test_protocol_code_is_loaded_by_the_first_grant_and_not_before(
    library: str, not_loaded: set[str], server: MediaHoundServer
) -> None:
    steps = run(
        """
        import importlib, json, sys
        library, credentials = sys.argv[1], json.loads(sys.argv[2])
        adapter = importlib.import_module(f"mediahound_auth.{library}")
        imported = list(sys.modules)
        auth = adapter.MediaHoundAuth(**credentials)
        repr(auth)
        made = list(sys.modules)
        auth.token()
        print(json.dumps([imported, made, list(sys.modules)]))
        """,
        library,
        json.dumps(server.credentials),
    )
    imported, made, granted = (set(step) for step in json.loads(steps))
    assert library in imported
    assert not imported & (PROTOCOL | not_loaded)
    assert not made & (PROTOCOL | not_loaded)
    assert granted >= PROTOCOL
    assert not granted & not_loaded


@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_an_adapter_without_its_library_says_which_extra_to_install(library: str) -> None:
    said = without(
        [library],
        f"""
        try:
            import mediahound_auth.{library}
        except ModuleNotFoundError as error:
            print(error.name, error)
        """,
    )
    assert said.startswith(library)
    assert f"pip install 'mediahound-auth[{library}]'" in said


@pytest.mark.parametrize(("library", "its_own"), [("requests", "urllib3"), ("httpx", "idna")])
def test_a_library_that_is_there_but_broken_is_not_taken_for_missing(
    library: str, its_own: str
) -> None:
    said = without(
        [its_own],
        f"""
        try:
            import mediahound_auth.{library}
        except ModuleNotFoundError as error:
            print(error.name, error)
        """,
    )
    assert said.startswith(its_own)
    assert "pip install" not in said
