"""What the documentation is built from: results, the fleet, links."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

import pytest

from benchmarks import fleet
from benchmarks.table import label
from docs import fleets, inventories, links, results

pytestmark = [pytest.mark.once, pytest.mark.documentation]

ROOT = Path(__file__).parents[2]
MEASURED = json.loads(results.RESULTS.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", MEASURED["cases"], ids=lambda case: str(case["title"]))
def test_each_case_that_was_measured_is_shown_with_all_its_contenders(
    case: dict[str, object],
) -> None:
    shown = results.pages()["cases"].split(f"### {case['title']}\n")[1].split("\n### ")[0]
    assert str(case["note"]) in shown
    for row in results._table(case).rows:
        assert label(row) in shown


def test_the_highest_number_has_the_longest_bar_and_ours_are_marked() -> None:
    shown = results.pages()["cases"].split("### Wrong secret\n")[1].split("\n### ")[0]
    bars = re.findall(r'<tr class="(\w+)">.*?width:([\d.]+)%', shown)
    assert ("ours", "1.0") in bars
    assert ("peer", "100.0") in bars


def test_a_new_result_is_a_new_page(tmp_path: Path) -> None:
    changed = {**MEASURED, "versions": {"requests": "99.9"}}
    file = tmp_path / "results.json"
    file.write_text(json.dumps(changed), encoding="utf-8")
    assert "requests 99.9" in results.pages(file)["measured"]


def test_a_fleet_is_simulated_once_for_the_same_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fleets.pages(tmp_path, workers=40)
    assert "one store for the whole fleet" in first["fleet"]
    assert first["fleet-pictures"].count("<svg") == 2 * len(fleet.WAYS)
    [kept] = tmp_path.iterdir()
    monkeypatch.setattr(fleet, "simulate", None)
    assert fleets.pages(tmp_path, workers=40) == first
    kept.unlink()
    with pytest.raises(TypeError):
        fleets.pages(tmp_path, workers=40)


def test_a_changed_rule_has_the_fleet_simulated_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleets.pages(tmp_path, workers=8)
    monkeypatch.setattr(fleets, "RULES", fleets.RULES[:1])
    fleets.pages(tmp_path, workers=8)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("href", "leads"),
    [
        ("other.html", True),
        ("other.html#there", True),
        ("#here", True),
        ("https://example.com/#anything", True),
        ("other.html#elsewhere", False),
        ("#there", False),
        ("missing.html", False),
        ("missing.png", False),
        ("sub/../other.html", True),
    ],
)
def test_a_link_leads_to_a_page_and_a_place_that_are_there(
    href: str, leads: bool, tmp_path: Path
) -> None:
    (tmp_path / "page.html").write_text(f'<p id="here"><a href="{href}">x</a></p>', "utf-8")
    (tmp_path / "other.html").write_text('<h1 id="there">x</h1>', "utf-8")
    assert list(links.broken(tmp_path)) == ([] if leads else [("page.html", href)])


def test_types_of_other_projects_are_found_without_a_network(tmp_path: Path) -> None:
    found = inventories.mapping(tmp_path)
    url, file = found["requests"]
    names = zlib.decompress(Path(file).read_bytes().split(b"using zlib.\n")[1]).decode()
    assert url == "https://requests.readthedocs.io/en/latest/"
    assert "requests.Session py:class 1 api/#requests.Session -\n" in names
    for name in ("requests.auth.AuthBase", "requests.exceptions.RequestException"):
        assert f"{name} py:class " in names
    httpx = inventories.PROJECTS["httpx"].pages
    assert {"httpx.Auth", "httpx.Client", "httpx.AsyncClient"} <= httpx.keys()


def test_the_page_on_testing_names_files_that_are_there() -> None:
    page = (ROOT / "docs" / "how-it-works" / "how-it-is-tested.md").read_text(encoding="utf-8")
    named = re.findall(r"`(?:tests/)?((?:test_|soak|hostile|fuzz_|late_)[\w*]*\.py)`", page)
    assert len(named) > 15
    assert [name for name in named if not list((ROOT / "tests").rglob(name))] == []
