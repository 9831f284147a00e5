"""docs/security.md names a test for each promise: all of these tests exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.once, pytest.mark.documentation]

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(test_\w+\.py)::(\w+)`", PAGE)
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| (?!threat|---)", line)]


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)))
def test_a_test_that_is_named_exists(file: str, test: str) -> None:
    tree = ast.parse(next(TESTS.rglob(file)).read_text(encoding="utf-8"))
    functions = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert test in functions


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_each_promise_names_a_test(row: str) -> None:
    assert re.search(r"`test_\w+\.py::test_\w+`", row.rsplit(" | ", 1)[1])


def test_every_test_name_on_the_security_page_is_parsed() -> None:
    assert len(ROWS) > 20
    assert PAGE.count("::") == len(NAMED)
