"""The page of messages: every text in the code is in docs/messages.toml, and the reverse."""

from __future__ import annotations

import ast

import pytest

from docs import messages

pytestmark = [pytest.mark.once, pytest.mark.documentation]

ROWS = [row for section in messages.TABLE["section"] for row in section["message"]]


def test_every_text_in_the_code_is_in_the_table() -> None:
    assert messages.templates() - set(messages.listed()) == set()


def test_every_text_in_the_table_is_in_the_code() -> None:
    assert set(messages.listed()) - messages.templates() == set()


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_each_message_says_when_it_appears_and_what_to_do(row: dict[str, str]) -> None:
    assert all(row[field] for field in ("as", "when", "do", "retry"))


def test_the_page_has_a_row_for_each_message() -> None:
    assert messages.page().count("\n| `") == len(ROWS)


@pytest.mark.parametrize(
    ("code", "template"),
    [
        ('f"no {option}: pass {option}="', "no {option}: pass {option}="),
        ('f"not {type(value).__name__} here"', "not {type} here"),
        ("f\"{n} attempt{'s' if n > 1 else ''}\"", "{n} attempt(s)"),
        ('"two " "parts"', "two parts"),
        ('log("could not %s", error)', "could not %s"),
        ("f\"one of {', '.join(names)}\"", "one of {names}"),
    ],
)
def test_a_template_names_what_is_filled_in(code: str, template: str) -> None:
    assert template in set(messages._texts(ast.parse(f"x = {code}")))


def test_a_docstring_is_not_a_message() -> None:
    assert list(messages._texts(ast.parse('def f():\n    """A docstring."""'))) == []
