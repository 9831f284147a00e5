"""The suite on each Python, with the oldest and the newest versions that the metadata allows.

`nox` runs all of it, on the Pythons that the machine has; `nox -s "suite-3.11(versions='oldest')"`
one of them. What `make` runs is pinned by constraints.txt; this is not, so that it shows tomorrow's
trouble.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|venv"
nox.options.error_on_missing_interpreters = False

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
FREE_THREADED = "3.14t"


def oldest() -> list[str]:
    """What users may have, each at its lower bound: "requests>=2.32" becomes "requests==2.32"."""
    extras = PROJECT["optional-dependencies"].values()
    named = {name for names in [PROJECT["dependencies"], *extras] for name in names}
    ours = PROJECT["name"]
    return sorted(re.sub(">=", "==", name) for name in named if not name.startswith(ours))


@nox.session(python=["3.11", "3.12", "3.13", "3.14", FREE_THREADED])
@nox.parametrize("versions", ["newest", "oldest"])
def suite(session: nox.Session, versions: str) -> None:
    """Run the package's tests."""
    pinned = oldest() if versions == "oldest" else []
    if session.venv_backend == "venv":
        session.install("--quiet", "pip>=25.1")  # the first that knows --group
    session.install("--quiet", "--editable", ".[all,httpx2]", "--group", "test", *pinned)
    chosen = "not documentation and not tools and not programs and not fuzz and not uwsgi"
    if pinned:  # What is the same with every version is seen with the newest.
        chosen += " and not once"
    session.run("python", "-m", "pytest", "--forks", "4", "-m", chosen, *session.posargs)
