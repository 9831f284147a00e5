"""The state diagram of a token, drawn from what lifecycle.py does: it cannot drift.

Every situation that the rules can lead to is visited, a move at a time, as source.py makes them:
time passes, a call comes, an API answers 401, what was asked for arrives or fails. Which phase a
situation is in is told by what the rules say of it, and an arrow is drawn where a move leads from
one phase to another.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from docs.svg import Arrow, Box, drawing
from mediahound_auth._core.lifecycle import Action, State
from mediahound_auth.errors import TokenEndpointUnavailable
from mediahound_auth.token import Token

LIFE = 1000.0  # seconds that a token lives here
MARGIN = 300.0  # the defaults of MediaHoundAuth
BUDGET = 30.0
DEEPEST = 13  # moves from the beginning; with more, no further arrow comes up
DOWN = TokenEndpointUnavailable("the endpoint is down")
COME_BACK_LATER = TokenEndpointUnavailable("the endpoint is down", retry_after=100.0)


class Phase(Enum):
    """What a token is, by what callers do with it."""

    ABSENT = "absent or expired"
    FRESH = "fresh"
    DUE = "due for renewal"
    RENEWING = "renewing"
    RETURNED_AGAIN = "returned again"
    UNCONFIRMED = "unconfirmed"
    FAILING = "failing"


class Asking(Enum):
    """Why a renewal is under way."""

    NOT = ""
    EARLY = "early"
    NEEDED = "needed"
    REJECTED = "401"


class Situation(NamedTuple):
    """What is known of a token at a moment, and whether another one has been asked for."""

    state: State
    now: float
    asking: Asking = Asking.NOT


class Move(NamedTuple):
    """An arrow: what happens, and the phases before and after."""

    before: Phase
    what: str
    after: Phase


def phase(state: State, now: float) -> Phase:
    """Which phase that is, by what the rules have callers do."""
    step = state.next_action(now)
    if step is Action.RENEW:
        return Phase.ABSENT
    if step is Action.GIVE_UP:
        return Phase.FAILING
    if step is Action.USE_AND_RENEW:
        return Phase.DUE
    assert state.token is not None
    if now >= state.renewal_due_at:
        return Phase.RENEWING
    forgiven = state._replace(retry_at=now)  # of a failure, which has a 401 given up on, too
    if (
        state.unconfirmed
        and forgiven.action_after_401(state.token.access_token, now) is Action.GIVE_UP
    ):
        return Phase.UNCONFIRMED
    return Phase.RETURNED_AGAIN if state.token.returned_again else Phase.FRESH


def moves() -> set[Move]:
    """All that change the phase, in all situations that can be."""
    found: set[Move] = set()
    seen: set[Situation] = set()
    reached = [Situation(State(), 0.0)]
    for _ in range(DEEPEST):
        following: dict[Situation, Situation] = {}
        for situation in reached:
            before = phase(situation.state, situation.now)
            for what, then in _following(situation):
                after = phase(then.state, then.now)
                if after is not before:
                    found.add(Move(before, what, after))
                following[_essence(then)] = then
        reached = [then for essence, then in following.items() if essence not in seen]
        seen.update(following)
    return found


def _following(situation: Situation) -> Iterator[tuple[str, Situation]]:
    state, now, asking = situation
    if (moment := _next(state, now)) is not None:
        # Whoever asks early has BUDGET seconds; if nothing has come by then, another one may ask.
        over = asking is Asking.EARLY and phase(state, moment) is Phase.DUE
        yield "time", Situation(state, moment, Asking.NOT if over else asking)
    if asking is Asking.NOT:
        yield from _calls(state, now)
    else:
        yield from _outcomes(state, now, asking)


def _next(state: State, now: float) -> float | None:
    """The next moment at which another rule may hold."""
    doubts = [state.unconfirmed_at + wait for wait in (1, 2, 4, 8, 16, 32, 60)]
    moments = [state.renew_at, state.renewal_due_at, state.retry_at, *doubts]
    if state.token:
        moments.append(state.token.expires_at)
    return min((moment for moment in moments if moment > now), default=None)


def _calls(state: State, now: float) -> Iterator[tuple[str, Situation]]:
    """A call comes, or is answered."""
    step = state.next_action(now)
    if step is Action.USE_AND_RENEW:
        yield "call", Situation(state.on_renewal_started(now, BUDGET), now, Asking.EARLY)
    elif step is Action.RENEW:
        yield "call", Situation(state, now, Asking.NEEDED)
    if state.token is None:
        return
    access_token = state.token.access_token
    if state.action_after_401(access_token, now) is Action.RENEW:
        yield "401", Situation(state, now, Asking.REJECTED)
    for retried in (True, False):
        yield "accepted", Situation(state.on_accepted(access_token, retried=retried), now)


def _outcomes(state: State, now: float, asking: Asking) -> Iterator[tuple[str, Situation]]:
    """What was asked for arrives, or does not."""
    why = "401, " if asking is Asking.REJECTED else ""
    doubtful = asking is Asking.REJECTED
    arrivals = {"new token": Token(f"token-of-{now}", now + LIFE, now)}
    if state.token:
        # The endpoint rounds down what is left of a life: an expired one may have a second left.
        left = max(state.token.expires_at, now + 1)
        arrivals["same token"] = Token(state.token.access_token, left, now)
    for what, token in arrivals.items():
        then = state.on_token(token, now, margin=MARGIN, jitter=0.0, after_401=doubtful)
        yield why + what, Situation(then, now)
    for error in (DOWN, COME_BACK_LATER):
        waited_for = asking is not Asking.EARLY
        yield (
            f"{why}failure",
            Situation(state.on_failure(error, now, jitter=0.0, waited_for=waited_for), now),
        )


def _essence(situation: Situation) -> Situation:
    """The same for all situations that differ in when they happen and in the token's name only."""
    state, now, asking = situation
    since = {
        name: round(getattr(state, name) - now, 3)
        for name in ("renew_at", "renewal_due_at", "failed_at", "retry_at", "unconfirmed_at")
    }
    token = state.token and Token(
        "token", state.token.expires_at - now, state.token.requested_at - now, None,
        state.token.returned_again,
    )  # fmt: skip
    failure = state.failure and DOWN
    state = state._replace(token=token, failure=failure, **since)
    return Situation(state, 0.0, asking)


class Group(NamedTuple):
    """Arrows that are drawn as one, from or to a box for several phases."""

    name: str
    lines: tuple[str, str]
    place: tuple[float, float]
    between: frozenset[tuple[Phase, Phase]]


LIVE = (Phase.FRESH, Phase.DUE, Phase.RENEWING, Phase.RETURNED_AGAIN)
CALLERS = {  # what callers do in a phase
    Phase.FRESH: "used",
    Phase.DUE: "used, renewal is due",
    Phase.RENEWING: "used, no call waits",
    Phase.RETURNED_AGAIN: "used until it expires",
    Phase.ABSENT: "calls wait for one",
    Phase.UNCONFIRMED: "a 401 is returned",
    Phase.FAILING: "the same error",
}
# Two drawings, each as wide as a telephone: where the phases stand in them.
COURSE = {
    Phase.FRESH: (104, 32),
    Phase.DUE: (104, 172),
    Phase.RENEWING: (104, 330),
    Phase.RETURNED_AGAIN: (104, 462),
    Phase.ABSENT: (272, 250),
}
TROUBLE = {Phase.UNCONFIRMED: (76, 162), Phase.ABSENT: (76, 340), Phase.FAILING: (268, 340)}
GROUPS = (
    Group(
        "live",
        ("fresh, due, renewing", "or returned again"),
        (76, 32),
        frozenset((phase, Phase.UNCONFIRMED) for phase in LIVE),
    ),
    Group(
        "confirmed",
        ("fresh", "or returned again"),
        (268, 32),
        frozenset(
            {
                (Phase.UNCONFIRMED, Phase.FRESH),
                (Phase.UNCONFIRMED, Phase.RETURNED_AGAIN),
            }
        ),
    ),
    Group(
        "late",
        ("renewing", "or returned again"),
        (268, 190),
        frozenset({(Phase.RENEWING, Phase.FAILING), (Phase.RETURNED_AGAIN, Phase.FAILING)}),
    ),
)
# The usual course of a token.
USUAL = {
    (Phase.ABSENT, Phase.FRESH),
    (Phase.FRESH, Phase.DUE),
    (Phase.DUE, Phase.RENEWING),
    (Phase.RENEWING, Phase.FRESH),
}
BOX = (132, 44)
# How far an arrow's middle is from the straight line, and where its label stands on it.
BENT = {
    (Phase.DUE, Phase.RENEWING): (16, 0.36),
    (Phase.RENEWING, Phase.DUE): (30, 0.4),
    (Phase.RENEWING, Phase.FRESH): (-76, 0.8),
    (Phase.DUE, Phase.ABSENT): (0, 0.55),
    (Phase.RENEWING, Phase.ABSENT): (0, 0.5),
    (Phase.ABSENT, Phase.FRESH): (-34, 0.34),
    (Phase.RETURNED_AGAIN, Phase.ABSENT): (-24, 0.5),
    (Phase.ABSENT, Phase.RETURNED_AGAIN): (-10, 0.62),
    (Phase.ABSENT, Phase.UNCONFIRMED): (28, 0.5),
    (Phase.UNCONFIRMED, Phase.ABSENT): (30, 0.5),
    (Phase.ABSENT, Phase.FAILING): (38, 0.5),
    (Phase.FAILING, Phase.ABSENT): (34, 0.5),
}


def arrows() -> dict[tuple[Phase, Phase], list[str]]:
    """The arrows between two phases each, and all that can happen along them."""
    order = list(Phase)
    between: dict[tuple[Phase, Phase], list[str]] = {}
    for before, what, after in sorted(
        moves(), key=lambda move: (order.index(move.before), order.index(move.after), move.what)
    ):
        between.setdefault((before, after), []).append(what)
    return between


def picture() -> str:
    """The diagram, as two drawings in SVG."""
    between = arrows()
    course = [_arrow(COURSE, pair, what) for pair, what in between.items() if {*pair} <= {*COURSE}]
    groups = [_group(group, between) for group in GROUPS]
    grouped = {pair for group in GROUPS for pair in group.between}
    rest = [pair for pair in between if not {*pair} <= {*COURSE} and pair not in grouped]
    trouble = [*groups, *(_arrow(TROUBLE, pair, between[pair]) for pair in rest)]
    drawings = [
        _drawing("The usual course of a token", 344, 490, course),
        _drawing("After a 401 or a failure", 344, 400, trouble),
    ]
    return f'<div class="pair">{"".join(drawings)}</div>\n'


def _drawing(title: str, width: int, height: int, drawn: list[Arrow]) -> str:
    boxes = {box.name: box for arrow in drawn for box in (arrow.before, arrow.after)}
    svg = drawing(width, height, title, boxes.values(), drawn, wide=False)
    return f"<figure><figcaption>{title}</figcaption>{svg}</figure>"


def _box(layout: dict[Phase, tuple[int, int]], phase: Phase) -> Box:
    x, y = layout[phase]
    name = phase.name.lower() + ("" if layout is COURSE else "-again")
    return Box(name, [phase.value, CALLERS[phase]], x, y, *BOX)


def _arrow(
    layout: dict[Phase, tuple[int, int]], pair: tuple[Phase, Phase], what: list[str]
) -> Arrow:
    before, after = (_box(layout, phase) for phase in pair)
    bend, at = BENT.get(pair, (0, 0.5))
    return Arrow(before, after, _label(what), bend, at, what == ["time"], pair in USUAL)


def _group(group: Group, between: dict[tuple[Phase, Phase], list[str]]) -> Arrow:
    """One arrow for those of the group; all of them have to be alike."""
    [what] = {tuple(between[pair]) for pair in group.between}
    box = Box(group.name, group.lines, *group.place, *BOX, quiet=True)
    befores, afters = ({pair[end] for pair in group.between} for end in (0, 1))
    before = box if len(befores) > 1 else _box(TROUBLE, next(iter(befores)))
    after = box if len(afters) > 1 else _box(TROUBLE, next(iter(afters)))
    return Arrow(before, after, _label(list(what)), dashed=what == ("time",))


def _label(what: list[str]) -> str:
    lines = list(what)
    for why in ("", "401, "):
        if {f"{why}new token", f"{why}same token"} <= set(lines):
            lines = [line for line in lines if line != f"{why}same token"]
            lines[lines.index(f"{why}new token")] = f"{why}any token"
    return "\n".join(lines)


def table() -> str:
    """All that leads from one phase to another, as Markdown."""
    rows = [
        f"| {before.value} | {'; '.join(what)} | {after.value} |"
        for (before, after), what in arrows().items()
    ]
    return "\n".join(["| from | what happens | to |", "| --- | --- | --- |", *rows, ""])
