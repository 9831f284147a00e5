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
    drawn = set(re.findall(r'<path id="(\w+)-(\w+)"', diagram.picture()))
    for_all = {(phase, UNCONFIRMED) for phase in diagram.LIVE}
    each = {(before.name.lower(), after.name.lower()) for before, after in set(ARROWS) - for_all}
    assert drawn == each | {("live", "unconfirmed")}
    for (before, after), what in ARROWS.items():
        row = f"| {before.value} | {'; '.join(sorted(what))} | {after.value} |"
        assert row in diagram.table()


def test_an_arrow_that_valid_tokens_do_not_share_is_drawn_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    some = {move for move in moves() if move[::2] != (FRESH, UNCONFIRMED)}
    monkeypatch.setattr(diagram, "moves", lambda: some)
    assert 'id="live-unconfirmed"' not in diagram.picture()
    assert 'id="due-unconfirmed"' in diagram.picture()
