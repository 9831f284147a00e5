"""The life of a token: use it, renew it soon, renew it now, give up. All rules, nothing else. Pure.

Rule 1: everything that decides *when* a token is used, asked for or given up on lives here.

**Fresh.** Until `renew_at` the token is used: one comparison, and no lock, no store, no I/O.

**Ageing.** From `renew_at` to its expiry every caller goes on using it, and one of them starts a
renewal that nobody waits for. `renew_at` is the expiry less a margin (at most a fifth of the life),
of which chance takes off up to half, so that a fleet does not move in step. Starting a renewal
moves `renew_at` on by the time that renewal may take, and a failure by a growing wait: so the ones
who go on using the token are on the fast path again, and a renewal that vanishes is started anew.

**Reissued.** A renewal that brings the same token back shows that this endpoint hands it out until
it has expired (Spring's `DefaultTokenServices` does, and so MediaHound). Asking early is pointless
then: `renew_at` becomes the expiry. While a usable token is at hand nobody asks within a second of
the last request either.

**Expired or absent.** One caller asks, all others wait for that answer, be it a token or a failure.

**Rejected.** The API answered 401 to a request that carried our token. If the current token is
another one by now, that one is the remedy. Otherwise it is renewed, once for all who were rejected.
Such a renewal is *doubtful* until a retry is accepted: an API that answers 401 to fresh tokens
wants something that no token mends. Each doubtful renewal in a row doubles what has to happen
before the next one: that many seconds, or that many calls that were accepted with the token.
(Accepted calls alone must not wipe the slate: one forbidden resource among many good ones would
cost a token request per visit.) Until then the 401 is the caller's.

**Asking.** A renewal's time budget is the longest that anybody who waits for it has, counted from
its start; an operation of a store may take a share of it (visit.py). A retryable failure (no
connection, no answer, 429, 5xx) is tried again after a back-off, or after what `Retry-After` asks
for, as long as that ends within the time budget; any other failure ends the renewal. Where a store
is shared, who finds its lock taken looks into the store now and then, and after about half of the
budget asks without the lock.

**Failing.** A failure is remembered. Who needs a token while it is recent gets the same failure
at once, for a time that doubles with each failure in a row and is never shorter than what the
endpoint asked for with `Retry-After` (an hour at most). A failure in the background holds back the
next background renewal only: when the token expires meanwhile, a caller may ask again, unless the
endpoint said not to. A refusal holds for the secret that was refused: where secrets are rotated,
the one to use is looked up again after a second, and only another one is sent before the time is
up.

**Clocks.** `now` is Unix time and comes in as an argument, because expiries are shared between
machines; a life is counted from when its request was sent. A wait only holds between its two ends,
so a clock that is set back ends it. A token that outlives its expiry that way is repaired by its
first 401.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from mediahound_auth.errors import (
    InvalidClientError,
    MediaHoundAuthError,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth.token import Token

__all__ = [
    "FIRST_RETRY_DELAY",
    "MAX_RETRY_DELAY",
    "RETRY_JITTER",
    "STORE_POLL_INTERVAL",
    "Action",
    "State",
    "retry_delay",
    "store_lock_timeout",
    "token_was_accepted",
]

NEVER = float("-inf")

# Seconds, all of them.
MIN_BACK_OFF = 1.0  # between two requests while a usable token is at hand; the first wait of any
MAX_BACK_OFF = 60.0  # that failures and doubts in a row grow to
MAX_RETRY_AFTER = 3600.0  # that an endpoint can keep us away for
MAX_MARGIN_FRACTION = 0.2  # of a token's life that the margin may take
FIRST_RETRY_DELAY = 0.1  # between two attempts of one renewal; doubles
MAX_RETRY_DELAY = 5.0
RETRY_JITTER = 0.2  # at most, added to each
STORE_POLL_INTERVAL = 0.25  # into a store whose lock somebody else holds


class Action(Enum):
    """What a caller who needs a token does now."""

    USE = auto()
    """Use the current token."""
    USE_AND_RENEW = auto()
    """Use the current token; one renewal is due, and nobody waits for it."""
    RENEW = auto()
    """Wait for one renewal, one's own or somebody else's."""
    GIVE_UP = auto()
    """Do not ask: raise the remembered failure, or hand the 401 to the caller."""


class State(NamedTuple):
    """All that is known of a token's life. Transitions return a new state.

    Attributes:
        token: the last one known, even if expired.
        authorization: the value of the header that carries it.
        renew_at: until then it is used with no further thought.
        renewal_due_at: when it began, or will begin, to age.
        failure, failures, failed_at, retry_at: the last failure, how many there were in a row,
            when it happened and until when it is shared.
        unconfirmed, unconfirmed_at, accepted_calls: how many renewals in a row were doubtful, when
            the last one was, and how many calls have been accepted since.
    """

    token: Token | None = None
    authorization: str = ""
    renew_at: float = NEVER
    renewal_due_at: float = NEVER
    failure: MediaHoundAuthError | None = None
    failures: int = 0
    failed_at: float = NEVER
    retry_at: float = NEVER
    unconfirmed: int = 0
    unconfirmed_at: float = NEVER
    accepted_calls: int = 0

    def __repr__(self) -> str:
        fields = {**self._asdict(), "authorization": ...}
        return f"State({', '.join(f'{name}={value!r}' for name, value in fields.items())})"

    def usable(self, now: float) -> bool:
        """Whether there is a token that has not expired."""
        return self.token is not None and now < self.token.expires_at

    def next_action(self, now: float) -> Action:
        """What a caller who needs a token does at `now`."""
        if now < self.renew_at:
            return Action.USE
        if self.usable(now):
            return Action.USE_AND_RENEW
        return Action.GIVE_UP if self._failed_lately(now) else Action.RENEW

    def action_after_401(self, rejected: str, now: float) -> Action:
        """What a caller does whose request carried the access token `rejected` and got a 401.

        USE means: retry the request with the current token, which is another one.
        """
        if self.token is None or self.token.access_token != rejected:
            step = self.next_action(now)
            return Action.USE if step is Action.USE_AND_RENEW else step
        if self._failed_lately(now):
            return Action.GIVE_UP
        patience = _doubled(self.unconfirmed)
        doubtful = self.unconfirmed and self.unconfirmed_at <= now < self.unconfirmed_at + patience
        return Action.GIVE_UP if doubtful and self.accepted_calls < patience else Action.RENEW

    def renewing(self, now: float, budget: float) -> State:
        """A renewal has started that may take `budget` seconds."""
        if self.token is None or not self.usable(now):
            return self
        renew_at = min(now + max(budget, MIN_BACK_OFF), self.token.expires_at)
        return self._replace(renew_at=renew_at)

    def is_improved_by(self, other: Token, rejected: str | None, now: float) -> bool:
        """Whether `other`, found in a store, makes asking the endpoint unnecessary.

        `rejected` is the access token that an API has just answered 401 to, if that is why a
        token is wanted.
        """
        if other.expires_at <= now or other.access_token == rejected:
            return False
        if self.token is None or not self.usable(now):
            return True
        if other.access_token == self.token.access_token:
            return other.returned_again and not self.token.returned_again
        return other.requested_at > self.token.requested_at

    def marked_if_returned_again(self, token: Token) -> Token:
        """`token`, marked as reissued if it is the one already known."""
        if self.token is not None and self.token.access_token == token.access_token:
            return token._replace(returned_again=True)
        return token

    def obtained(
        self,
        token: Token,
        now: float,
        *,
        margin: float,
        jitter: float,
        doubtful: bool = False,
    ) -> State:
        """`token` has arrived, from the endpoint or a store; `jitter` is random, from 0 to 1.

        `doubtful` says that the endpoint was asked because an API rejected the token before.
        """
        token = self.marked_if_returned_again(token)
        if now >= token.expires_at and self.usable(now) and not (doubtful or token.returned_again):
            return self  # another one, of a short life, whose answer took longer
        life = token.expires_at - token.requested_at
        early = (
            0.0
            if token.returned_again
            else min(margin, MAX_MARGIN_FRACTION * life) * (1 - jitter / 2)
        )
        renewal_due_at = max(token.expires_at - early, token.requested_at + MIN_BACK_OFF)
        renewal_due_at = min(renewal_due_at, token.expires_at)
        state = State(
            token=token,
            authorization=token.authorization,
            renew_at=renewal_due_at,
            renewal_due_at=renewal_due_at,
            unconfirmed=self.unconfirmed,
            unconfirmed_at=self.unconfirmed_at,
            accepted_calls=self.accepted_calls,
        )
        if doubtful:
            return state._replace(
                unconfirmed=self.unconfirmed + 1, unconfirmed_at=now, accepted_calls=0
            )
        return state

    def failed(
        self,
        error: MediaHoundAuthError,
        now: float,
        *,
        jitter: float,
        waited_for: bool,
        rotating: bool = False,
    ) -> State:
        """A renewal has failed; `waited_for` says that somebody needed it, `jitter` as above.

        `rotating` says that it failed with one secret, whose own state remembers that, and that
        the next one may bring another.
        """
        failures = self.failures + 1
        asked = error.retry_after if isinstance(error, TokenRequestError) else None
        asked = min(asked or 0.0, MAX_RETRY_AFTER)
        if rotating and isinstance(error, InvalidClientError):
            failures, asked = 1, 0.0
        wait = max(asked, _doubled(failures) * (1 + jitter / 2))
        renew_at = self.renew_at
        if self.token is not None and self.usable(now):
            renew_at = max(self.renewal_due_at, min(now + wait, self.token.expires_at))
        return self._replace(
            renew_at=renew_at,
            failure=error,
            failures=failures,
            failed_at=now,
            retry_at=now + (wait if waited_for else asked),
        )

    def on_accepted(self, access_token: str, *, retried: bool) -> State:
        """An API took `access_token`; `retried` says that it had rejected another one before."""
        if not self.unconfirmed or self.token is None or self.token.access_token != access_token:
            return self
        if retried:
            return self._replace(unconfirmed=0, unconfirmed_at=NEVER, accepted_calls=0)
        return self._replace(accepted_calls=self.accepted_calls + 1)

    def _failed_lately(self, now: float) -> bool:
        return self.failed_at <= now < self.retry_at


def retry_delay(error: Exception, back_off: float, remaining: float) -> bool | float:
    """Whether a failed attempt is followed by another, `back_off` being the next wait but jitter.

    A number is the seconds to wait instead; `remaining` are those left of the time budget.
    """
    if not isinstance(error, TokenEndpointUnavailable) or not error.retryable:
        return False
    wait = max(back_off + RETRY_JITTER, error.retry_after or 0.0)
    if wait >= remaining:
        return False
    return True if error.retry_after is None else wait


def store_lock_timeout(remaining: float, jitter: float) -> float:
    """Seconds to wait for a store's lock; `remaining` are those left of the time budget.

    Enough is left for a request of one's own, and when the holder has died, not all lose patience
    at the same time; `jitter` is random, from 0 to 1.
    """
    return remaining * (0.3 + 0.4 * jitter)


def token_was_accepted(status: int) -> bool:
    """Whether an API that answered with this HTTP status has taken the token: 5xx says nothing."""
    return status != 401 and status < 500


def _doubled(times: int) -> float:
    """The wait after the n-th time in a row, in seconds: 1, 2, 4, … up to MAX_BACK_OFF."""
    return min(MIN_BACK_OFF * 2.0 ** min(times - 1, 16), MAX_BACK_OFF)
