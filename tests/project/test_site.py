"""Pages that readers search for, and the picture of what a call sends."""

from __future__ import annotations

import ast
import json
import re
from functools import cache
from pathlib import Path

import pytest

from docs import search, sequence
from docs.sequence import API, APP, AUTH, TOKEN

pytestmark = [pytest.mark.once, pytest.mark.documentation]

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# What is not said by this package.
OF_OTHERS = {
    "No matching distribution found for mediahound-auth",
    "Name or service not known",
    "Connection refused",
    "certificate verify failed",
    "RetryError: too many 401 error responses",
    "401: invalid_client",
    "invalid_request",
}


def index(**parts: dict[str, object]) -> search.Index:
    empty: dict[str, object] = {"alltitles": {}, "indexentries": {}, "terms": {}, "titleterms": {}}
    return search.Index({**empty, "docnames": ["one", "two"], **parts})


def test_a_search_finds_titles_index_entries_and_words() -> None:
    assert index(alltitles={"HTTP 401": [[0, "a"]]}).pages("401") == set()
    assert index(alltitles={"401": [[0, "a"]]}).pages("401") == {"one"}
    assert index(indexentries={"401": [[1, "a"]]}).pages("401") == {"two"}
    assert index(terms={"401": 1}).pages("401") == set()
    words = index(terms={"thread": [0, 1]}, titleterms={"safeti": 1})
    assert words.pages("thread safe") == {"two"}
    assert words.pages("Threads") == {"one", "two"}


def test_a_search_index_is_read_from_a_built_site(tmp_path: Path) -> None:
    (tmp_path / "searchindex.js").write_text(f"Search.setIndex({json.dumps({'a': 1})})", "utf-8")
    assert search.Index.of(tmp_path).data == {"a": 1}


def test_what_people_search_for_is_a_page() -> None:
    for word in ("401", "troubleshooting", "logging", "FastAPI", "thread safe", "self-signed"):
        assert (DOCS / f"{search.QUERIES[word]}.md").is_file()


def headings() -> list[str]:
    page = (DOCS / "troubleshooting.md").read_text("utf-8")
    return re.findall(r"^####? (.*)$", page, re.M)


@pytest.mark.parametrize("heading", headings())
def test_a_message_in_troubleshooting_is_one_of_the_package(heading: str) -> None:
    if heading in OF_OTHERS:
        return
    variable = re.sub(r"\b(client|client_id|MEDIAHOUND_CLIENT_ID|requests)\b", "…", heading)
    assert any(heading in text or variable in text for text in messages())


@cache
def messages() -> list[str]:
    """All texts of the package, with … for what is filled in."""
    found = []
    for file in (ROOT / "mediahound_auth").rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        nodes = [node for node in ast.walk(tree) if not isinstance(node, ast.Expr)]
        for node in (child for parent in nodes for child in ast.iter_child_nodes(parent)):
            if isinstance(node, ast.JoinedStr):
                parts = [
                    value.value if isinstance(value, ast.Constant) else "…" for value in node.values
                ]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return found


def rows() -> list[str]:
    page = (DOCS / "guides" / "works-with.md").read_text("utf-8")
    return [line for line in page.splitlines() if re.match(r"\| (?!library|runtime|---)", line)]


@pytest.mark.parametrize("row", rows())
def test_what_it_works_with_names_a_test_or_the_day_it_was_tried(row: str) -> None:
    tested = row.rsplit(" | ", 1)[1]
    if re.match(r"by hand.*, 20\d\d-\d\d-\d\d, [\d.]+", tested):
        return
    found = re.match(r"`(test_\w+\.py)::(test_\w+)`", tested)
    assert found, row
    tree = ast.parse(next(ROOT.glob(f"tests/**/{found[1]}")).read_text("utf-8"))
    defined = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert found[2] in {function.name for function in defined}


def test_the_numbers_of_the_readme_are_those_that_were_measured() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    measured = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))
    rows = {row["name"]: row["values"] for row in measured["summary"]["rows"]}

    def ratio(text: str, digits: int = 1) -> str:
        return f"{float(text.split()[0]):.{digits}f}"

    cost = rows["Cost of a valid token: per request"]
    assert f"requests {ratio(cost[1])} ×, httpx {ratio(cost[2])} ×" in readme
    added = rows["Import: import adds"]
    assert f"requests {ratio(added[1], 0)} ms, httpx {ratio(added[2], 0)} ms" in readme
    assert f"| {rows['Event loop: event loop held'][3]} |" in readme


SENT = {
    "First call": [(AUTH, TOKEN), (AUTH, API)],
    "Next calls": [(AUTH, API)],
    "Token due for renewal": [(AUTH, API), (AUTH, TOKEN)],
    "Token rejected (401)": [(AUTH, API), (AUTH, TOKEN), (AUTH, API)],
}


@pytest.mark.parametrize("scene", SENT)
def test_the_picture_shows_what_a_call_sends(scene: str) -> None:
    messages = sequence.played(sequence.SCENES[scene])
    sent = [m[:2] for m in messages if m.sender == AUTH and m.receiver != APP]
    assert sent == SENT[scene]
    waited_for = [m for m in messages if not m.background]
    assert waited_for[0][:2] == (APP, AUTH)
    assert waited_for[-1] == (AUTH, APP, "200", False)
    assert any(m.background for m in messages) == (scene == "Token due for renewal")


def test_the_picture_fits_a_telephone_and_no_label_is_on_another() -> None:
    picture = sequence.picture()
    assert sequence.WIDTH <= 350
    assert picture.count('class="message"') == sum(
        len(sequence.played(prepare)) for prepare in sequence.SCENES.values()
    )
    boxes = []
    for x, y, anchor, weight, text in re.findall(
        r'<text x="([\d.]+)" y="([\d.]+)" text-anchor="(\w+)" fill="[^"]*" font-size="12" '
        r'font-weight="(\d+)"[^>]*>([^<]*)<',
        picture,
    ):
        width = 6.4 * len(text) * (1.08 if weight == "600" else 1)
        left = float(x) - (width / 2 if anchor == "middle" else 0)
        boxes.append((left, float(y) - 10, left + width, float(y) + 2, text))
    assert len(boxes) > 20
    for number, (left, top, right, bottom, text) in enumerate(boxes):
        assert left >= 0, text
        assert right <= sequence.WIDTH, text
        for other in boxes[:number]:
            apart = right < other[0] or other[2] < left or bottom < other[1] or other[3] < top
            assert apart, (text, other)
