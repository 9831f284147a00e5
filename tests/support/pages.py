"""The code on a page of the documentation, run: `python tests/support/pages.py docs/quickstart.md`.

What stands in a ```python block is run in order, in one namespace, and may `await`; so is what
stands in a ```bash block. A block of ```output is what the block before it prints, where `…` is any
text. MediaHound is a stand-in on loopback, with its credentials in the
environment: `https://api.mediahound.com` in the code becomes its address, and so does every host
below `example.com`. Three things a page can say where readers do not see them, in HTML comments:

    <!-- server: {"client_auth": "client_secret_basic"} -->    options of MediaHoundServer, as JSON
    <!-- file: app.py -->    before a block: it is also written to this file
    <!-- a whole ```python block: what the page's code needs, and readers have anyway -->

Lines that would install something, or run this project's Makefile, are not run: that they name
extras, groups and targets that exist is checked instead.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from mediahound_auth.testing import MediaHoundServer

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]

BLOCK = re.compile(
    r"^(?:<!-- file: (?P<file>[\w.]+) -->\n+)?"
    r"(?P<fence>```+)(?P<language>python|bash|output)\n(?P<code>.*?)^(?P=fence)$",
    re.M | re.S,
)
OPTIONS = re.compile(r"<!-- server: (\{.*?\}) -->")
TOKEN_URL = re.compile(r"https://[\w.-]+\.example\.com/[\w/.-]*token\b")
HOST = re.compile(r"https://(?:api\.mediahound\.com|(?:[\w-]+\.)*example\.com)(?=[/\"'\s,)}]|$)")


class Block(NamedTuple):
    """Code on a page: its language, the line on which it begins, its text, and a file's name."""

    language: str
    line: int
    code: str
    file: str | None


def blocks(page: Path) -> list[Block]:
    """The page's code."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            found["language"],
            text.count("\n", 0, found.start("code")) + 1,
            found["code"],
            found["file"],
        )
        for found in BLOCK.finditer(text)
    ]


def run(page: Path) -> None:
    """Run what is on it; whatever goes wrong is raised."""
    options = OPTIONS.search(page.read_text(encoding="utf-8"))
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    with MediaHoundServer(**json.loads(options[1]) if options else {}) as server:
        os.environ.update(server.environment)
        for language, line, code, file in blocks(page):
            code = TOKEN_URL.sub(server.token_url, code)
            code = HOST.sub(server.url, code)
            if file:
                Path(file).write_text(code, encoding="utf-8")
            if language == "output":
                _compare(printed.replace(server.url, "https://api.mediahound.com"), code)
            elif language == "python":
                output = io.StringIO()
                with contextlib.redirect_stdout(output):
                    _python(code, f"{page.relative_to(ROOT)}, from line {line}", namespace)
                printed = output.getvalue()
            else:
                printed = _bash(code)


def _compare(printed: str, expected: str) -> None:
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    assert re.fullmatch(pattern, printed.strip(), re.S), f"printed:\n{printed}\nnot:\n{expected}"


def _python(code: str, name: str, namespace: dict[str, Any]) -> None:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(code, name, "exec", flags=flags, dont_inherit=True)
    result = eval(compiled, namespace)
    if inspect.iscoroutine(result):
        asyncio.run(result)


def _bash(code: str) -> str:
    lines = code.replace("\\\n", " ").splitlines()
    left = [line for line in lines if not _checked(line)]
    here = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(left)],
        env={**os.environ, **here},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        timeout=120,
    )
    return done.stdout


def _checked(line: str) -> bool:
    """Whether this line is looked at instead of run."""
    words = line.partition("#")[0].split()
    if words[:1] == ["make"]:
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
        wanted = [word for word in words[1:] if "=" not in word]
        assert set(wanted) <= set(targets), f"no such target: {line}"
        return True
    if words[:2] in (["pip", "install"], ["pipx", "install"], ["uv", "add"], ["git", "clone"]):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
        named = re.findall(r"mediahound-auth\[([\w,-]+)\]", line)
        extras = {extra for names in named for extra in names.split(",")}
        known = set(project["project"]["optional-dependencies"])
        assert extras <= known, f"no such extra: {line}"
        return True
    return False


if __name__ == "__main__":
    run(Path(sys.argv[1]).absolute())
