"""The diagrams of the documentation: what they show is what the package does."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from docs import diagram, rooms
from docs.diagram import Move, Phase, moves
from mediahound_auth._core import lifecycle
from mediahound_auth._core.lifecycle import State
from mediahound_auth.token import Token

pytestmark = [pytest.mark.once, pytest.mark.documentation]

ABSENT, FRESH, AGEING, RENEWING, REISSUED, DOUBTED, FAILING = Phase
ARROWS = {
    (ABSENT, FRESH): {"new token"},
    (ABSENT, REISSUED): {"same token"},
    (ABSENT, DOUBTED): {"new token", "same token", "401, new token", "401, same token"},
    (ABSENT, FAILING): {"failure", "401, failure"},
    (FRESH, AGEING): {"time"},
    (FRESH, DOUBTED): {"401, new token", "401, same token"},
    (AGEING, ABSENT): {"time"},
    (AGEING, RENEWING): {"call", "401, failure"},
    (AGEING, DOUBTED): {"401, new token", "401, same token"},
    (RENEWING, ABSENT): {"time"},
    (RENEWING, FRESH): {"new token"},
    (RENEWING, AGEING): {"time"},
    (RENEWING, REISSUED): {"same token"},
    (RENEWING, DOUBTED): {"401, new token", "401, same token"},
    (RENEWING, FAILING): {"time"},
    (REISSUED, ABSENT): {"time"},
    (REISSUED, DOUBTED): {"401, new token", "401, same token"},
    (REISSUED, FAILING): {"time"},
    (DOUBTED, ABSENT): {"time"},
    (DOUBTED, FRESH): {"accepted", "time"},
    (DOUBTED, REISSUED): {"accepted", "time"},
    (FAILING, ABSENT): {"time"},
}


def test_it_has_the_arrows_that_the_rules_allow_and_no_others() -> None:
    assert {arrow: set(what) for arrow, what in diagram.arrows().items()} == ARROWS


def test_looking_farther_ahead_brings_no_further_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    found = moves()
    monkeypatch.setattr(diagram, "DEEPEST", diagram.DEEPEST + 2)
    assert moves() == found


def unnoticed(_: State, token: Token) -> Token:
    return token


def never(*_: object) -> bool:
    return False


def unmoved(state: State, *_: object) -> State:
    return state


@pytest.mark.parametrize(
    ("rule", "changed", "gone"),
    [
        ("marked_if_returned_again", unnoticed, {Move(RENEWING, "same token", REISSUED)}),
        (
            "_failed_lately",
            never,
            {Move(ABSENT, "failure", FAILING), Move(FAILING, "time", ABSENT)},
        ),
        ("renewing", unmoved, {Move(AGEING, "call", RENEWING)}),
        ("on_accepted", lambda state, *_, **__: state, {Move(DOUBTED, "accepted", FRESH)}),
    ],
)
def test_a_changed_rule_changes_it(
    rule: str, changed: Callable[..., object], gone: set[Move], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = moves()
    monkeypatch.setattr(State, rule, changed)
    assert gone <= before - moves()


def test_without_a_margin_no_token_ages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "MAX_MARGIN_FRACTION", 0.0)
    assert AGEING not in {move.after for move in moves()}


def test_each_arrow_is_in_the_picture_and_in_the_table() -> None:
    drawn = set(re.findall(r'<path id="(\w+)-(\w+)"', diagram.picture()))
    for_all = {(phase, DOUBTED) for phase in diagram.LIVE}
    each = {(before.name.lower(), after.name.lower()) for before, after in set(ARROWS) - for_all}
    assert drawn == each | {("live", "doubted")}
    for (before, after), what in ARROWS.items():
        row = f"| {before.value} | {'; '.join(sorted(what))} | {after.value} |"
        assert row in diagram.table()


def test_what_is_not_the_same_for_all_live_tokens_is_drawn_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = {move for move in moves() if move[::2] != (FRESH, DOUBTED)}
    monkeypatch.setattr(diagram, "moves", lambda: some)
    assert 'id="live-doubted"' not in diagram.picture()
    assert 'id="ageing-doubted"' in diagram.picture()


def test_the_rooms_import_downwards_only() -> None:
    height = {room: row for row, layer in enumerate(rooms.layers()) for room in layer}
    assert rooms.arrows()
    assert all(height[room] < height[imported] for room, imported in rooms.arrows())


def test_each_room_is_in_the_picture_and_lies_on_no_other() -> None:
    picture = rooms.picture()
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture)
    assert found is not None
    width, height = map(float, found.groups())
    box = r'<g id="([^"]+)"><rect x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"'
    boxes = {name: tuple(map(float, place)) for name, *place in re.findall(box, picture)}
    assert set(boxes) == {r for layer in rooms.layers() for r in layer} - rooms.EVERYWHERE
    for name, (x, y, w, h) in boxes.items():
        assert 0 <= x <= width - w, name
        assert 0 <= y <= height - h, name
        for other, (left, top, _, _) in boxes.items():
            assert name == other or abs(x - left) >= w or abs(y - top) >= h, (name, other)


def test_the_readme_s_picture_of_the_rooms_is_the_folder() -> None:
    readme = (rooms.ROOT / "README.md").read_text("utf-8")
    listing = readme.partition("```\nmediahound_auth/\n")[2].partition("```")[0]
    shown = re.findall(r"[\w]+(?:\.py|/)", listing)
    package = rooms.ROOT / rooms.PACKAGE
    there = {f"{path.name}/" if path.is_dir() else path.name for path in package.iterdir()}
    assert sorted(shown) == sorted(there - {"__pycache__/", "py.typed"})


def test_the_rooms_are_those_of_the_package_and_each_says_what_it_is_for() -> None:
    listed = set(re.findall(r"^\| `([\w/.]+)` \| \S", rooms.table(), re.MULTILINE))
    package = rooms.ROOT / rooms.PACKAGE
    there = {file.name for file in package.glob("*.py")} | {"stores/"}
    assert listed == there - {"__init__.py", "pytest_plugin.py"}


@pytest.mark.parametrize(
    ("room", "imported"),
    [("source", "lifecycle"), ("events", "token"), ("stores", "token"), ("httpx", "flow")],
)
def test_an_import_is_seen_wherever_it_stands(room: str, imported: str) -> None:
    assert imported in rooms.imports(room)


def test_what_is_imported_for_types_only_is_not_an_arrow() -> None:
    assert "flight" not in rooms.imports("events")
