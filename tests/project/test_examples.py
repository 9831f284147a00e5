"""Each example runs as a user would run it: as a script of its own, copied to another folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from redis_server import executable

from mediahound_auth.testing import MediaHoundServer

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
# Those that start a fake server themselves.
WITH_SERVER = ("quickstart.py", "another_oauth_server.py", "testing_my_app.py")

pytestmark = [pytest.mark.once, pytest.mark.documentation]

# What needs a program that pip does not bring.
CURL = pytest.param("from_the_shell.py", marks=pytest.mark.programs)
OTHERS = [name for name in SCRIPTS if name not in ("quickstart.py", "from_the_shell.py")]


@pytest.fixture(autouse=True)
def _with_redis_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that tests use, under the name that the example looks for."""
    (tmp_path / "redis-server").symlink_to(shutil.which(executable()) or "missing")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def run(script: str, folder: Path, **variables: str) -> str:
    shutil.copy(EXAMPLES / script, folder)
    kept = {name: value for name, value in os.environ.items() if "MEDIAHOUND" not in name}
    done = subprocess.run(
        [sys.executable, "-W", "error", folder / script],
        env={**kept, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_there_is_one_example_for_each_way_of_use() -> None:
    assert len(SCRIPTS) >= 7


@pytest.mark.parametrize("script", [*OTHERS, CURL])
def test_the_example_gets_its_responses(script: str, tmp_path: Path) -> None:
    if script in WITH_SERVER:
        printed = run(script, tmp_path)
    else:
        with MediaHoundServer() as server:
            printed = run(script, tmp_path, **server.environment, MEDIAHOUND_API_URL=server.url)
    assert "Gladiator" in printed or "200" in printed


def test_the_quickstart_tells_the_whole_story_and_keeps_the_secret(tmp_path: Path) -> None:
    printed = run("quickstart.py", tmp_path)
    assert "fake MediaHound server" in printed
    assert "grant_type=client_credentials&client_id=MyClientId&client_secret=********" in printed
    assert "MyClientSecret" not in printed
    # Three; one more where the machine is so busy that the first token ages before its time is up.
    assert re.search(r"^7 calls answered, [34] token requests\.$", printed, re.MULTILINE)
