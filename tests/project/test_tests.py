"""How the tests are laid out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from late_threads import DELAYED

pytestmark = [pytest.mark.once, pytest.mark.tools]

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("test_*.py"))


def imported(file: Path) -> set[str]:
    """The modules that it imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_no_test_file_imports_from_another_one() -> None:
    found = {
        str(file.relative_to(TESTS)): name
        for file in FILES
        for name in imported(file)
        if any(re.fullmatch(r"test_\w+|tests|conftest", part) for part in name.split("."))
    }
    assert len(FILES) > 90
    assert found == {}


def test_what_make_delays_delays_is_there() -> None:
    missing = [name for owner in DELAYED for name in DELAYED[owner] if name not in vars(owner)]
    assert missing == []
