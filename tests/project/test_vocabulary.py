"""Words that readers stumble over stay out of what they read: messages and documentation.

A word may stand where `ALLOWED` says so.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.messages import page

pytestmark = [pytest.mark.once, pytest.mark.documentation]

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mediahound_auth"
# What to write instead.
WORDS = {
    r"token answers?": "token response",
    r"(is|are) answered": "returned, or: the server responds",
    r"has no time": "is unavailable (5xx), rate limited (429), unreachable",
    r"gave .{0,20}no token": "error response",
    r"asks? again|asking again": "retry",
    r"replay(s|ed|ing)?": "retry the request",
    r"live (access )?tokens?": "valid token",
    r"dead tokens?": "expired, revoked or rejected token",
    r"reissue[sd]?|hands? (it )?out again": "returns the same token",
    r"ageing|ages": "due for renewal",
    r"flights?": "renewal",
    r"stand-ins?|stands? in for": "fake server",
    r"seals?|sealed": "encrypts",
    r"blanks?": "space",
    r"octets?": "byte",
    r"mends?|mended": "fix",
    r"budgets?": "timeout, time limit; remaining",
    r"herds?": "callers",
    r"goes? on from memory": "continues with the token in memory",
    r"told in words": "reported",
    r"whoever|nobody|somebody|anybody": "the caller, another process, no caller",
    r"else (MEDIAHOUND|in memory|the application)": "defaults to",
    r"form of client authentication": "client authentication method",
}
# Texts in which such a word is the right one: the word, and a part of the line.
ALLOWED = (
    ("replay", "httpx-retries"),
    ("blank", "target=_blank"),
)
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(page for page in sorted(ROOT.glob("docs/**/*.md")) if "_generated" not in page.parts),
]


def words(text: str) -> Iterator[str]:
    for line in text.splitlines():
        for pattern, instead in WORDS.items():
            for found in re.finditer(rf"\b(?:{pattern})\b", line, re.I):
                if not any(found[0].lower() == w and part in line for w, part in ALLOWED):
                    yield f"{found[0]!r} (write: {instead}) in: {line.strip()[:100]}"


def without_code(text: str) -> str:
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    text = re.sub(r"^(```+).*?^\1", "", text, flags=re.S | re.M)
    return re.sub(r"`[^`\n]+`", "", text)


FILES = [*PAGES, *sorted(PACKAGE.rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_pages_and_messages_use_no_forbidden_word(file: Path) -> None:
    is_page = file.suffix == ".md"
    texts = [without_code(file.read_text("utf-8"))] if is_page else messages(file)
    found = [word for text in texts for word in words(text)]
    assert found == []


def test_the_table_of_messages_has_words_that_readers_know() -> None:
    assert list(words(without_code(page()))) == []


def messages(file: Path) -> Iterator[str]:
    """All texts of a module that are no docstrings: errors, log records, what the CLI prints."""
    tree = ast.parse(file.read_text("utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Constant) and id(node) not in docstrings else ""
        if isinstance(value, str) and " " in value:
            yield value


def test_a_forbidden_word_is_found_in_prose_and_not_in_code() -> None:
    assert list(words("The token was replayed.")) != []
    assert list(words(without_code("Use `replay`.\n```\nreplay\n```\n<!-- replay -->"))) == []
