"""The diagrams of the documentation: what they show is what the package does."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from docs import diagram
from docs.diagram import Move, Phase, moves
from mediahound_auth._core import lifecycle
from mediahound_auth._core.lifecycle import State
from mediahound_auth.token import Token

pytestmark = [pytest.mark.once, pytest.mark.documentation]

ABSENT, FRESH, DUE, RENEWING, RETURNED_AGAIN, UNCONFIRMED, FAILING = Phase
ARROWS = {
    (ABSENT, FRESH): {"new token"},
    (ABSENT, RETURNED_AGAIN): {"same token"},
    (ABSENT, UNCONFIRMED): {"new token", "same token", "401, new token", "401, same token"},
    (ABSENT, FAILING): {"failure", "401, failure"},
    (FRESH, DUE): {"time"},
    (FRESH, UNCONFIRMED): {"401, new token", "401, same token"},
    (DUE, ABSENT): {"time"},
    (DUE, RENEWING): {"call", "401, failure"},
    (DUE, UNCONFIRMED): {"401, new token", "401, same token"},
    (RENEWING, ABSENT): {"time"},
    (RENEWING, FRESH): {"new token"},
    (RENEWING, DUE): {"time"},
    (RENEWING, RETURNED_AGAIN): {"same token"},
    (RENEWING, UNCONFIRMED): {"401, new token", "401, same token"},
    (RENEWING, FAILING): {"time"},
    (RETURNED_AGAIN, ABSENT): {"time"},
    (RETURNED_AGAIN, UNCONFIRMED): {"401, new token", "401, same token"},
    (RETURNED_AGAIN, FAILING): {"time"},
    (UNCONFIRMED, ABSENT): {"time"},
    (UNCONFIRMED, FRESH): {"accepted", "time"},
    (UNCONFIRMED, RETURNED_AGAIN): {"accepted", "time"},
    (FAILING, ABSENT): {"time"},
}


def test_it_has_the_arrows_that_the_rules_allow_and_no_others() -> None:
    assert {arrow: set(what) for arrow, what in diagram.arrows().items()} == ARROWS


def test_a_longer_horizon_adds_no_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
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
        ("with_returned_again", unnoticed, {Move(RENEWING, "same token", RETURNED_AGAIN)}),
        (
            "_failed_lately",
            never,
            {Move(ABSENT, "failure", FAILING), Move(FAILING, "time", ABSENT)},
        ),
        ("on_renewal_started", unmoved, {Move(DUE, "call", RENEWING)}),
        ("on_accepted", lambda state, *_, **__: state, {Move(UNCONFIRMED, "accepted", FRESH)}),
    ],
)
def test_a_changed_rule_changes_it(
    rule: str, changed: Callable[..., object], gone: set[Move], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = moves()
    monkeypatch.setattr(State, rule, changed)
    assert gone <= before - moves()


def test_without_a_margin_no_token_is_renewed_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "MAX_MARGIN_FRACTION", 0.0)
    assert DUE not in {move.after for move in moves()}


def test_each_arrow_is_in_the_picture_and_in_the_table() -> None:
    drawn = set(re.findall(r'<path id="([\w-]+?)"', diagram.picture()))
    grouped = {pair for group in diagram.GROUPS for pair in group.between}
    each = {f"{before.name.lower()}-{after.name.lower()}" for before, after in {*ARROWS} - grouped}
    assert {name.replace("-again", "") for name in drawn} == each | {
        "live-unconfirmed",
        "unconfirmed-confirmed",
        "late-failing",
    }
    for (before, after), what in ARROWS.items():
        row = f"| {before.value} | {'; '.join(sorted(what))} | {after.value} |"
        assert row in diagram.table()


def test_arrows_that_are_drawn_as_one_have_to_be_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    more = moves() | {Move(FRESH, "time", UNCONFIRMED)}
    monkeypatch.setattr(diagram, "moves", lambda: more)
    with pytest.raises(ValueError, match="too many values"):
        diagram.picture()


def test_the_drawings_fit_a_telephone_and_no_label_is_on_another() -> None:
    for svg in diagram.picture().split("<figure>")[1:]:
        width, *_ = re.findall(r'viewBox="0 0 (\d+) ', svg)
        assert int(width) <= 344
        labels = [
            (float(x), float(y), 2.8 * len(text))
            for x, y, text in re.findall(
                r'<text x="([\d.]+)" y="([\d.]+)"[^>]*paint[^>]*>([^<]+)', svg
            )
        ]
        for n, (x, y, half) in enumerate(labels):
            assert 0 <= x - half <= x + half <= int(width)
            for other_x, other_y, other_half in labels[:n]:
                assert abs(x - other_x) >= half + other_half or abs(y - other_y) >= 12
