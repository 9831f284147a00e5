"""The rules: when a token is used and renewed, and when a request is retried. Pure.

Rule 0: all rules about *when* are in this module. `now` (Unix time, in seconds) and `jitter`
(random, from 0 to 1) are arguments.

1. **Fresh.** Until `renew_at` the token is used: one comparison, and no lock, store or I/O.
   *May become* due for renewal; rejected.
2. **Due for renewal**, from `renew_at` to the expiry. Callers use the token, and the first caller
   starts a renewal in the background. `renew_at` is the expiry minus a margin, which is a fifth of
   the lifetime at most. Jitter reduces the margin by up to half, so that the processes of a fleet
   do not renew at the same time. The start of a renewal moves `renew_at` on by the time that the
   renewal may take. A failure moves it on by a growing wait. So callers are on the fast path again,
   and a renewal without an outcome is followed by another one.
   *May become* fresh; returned again; expired; rejected.
3. **Returned again.** The endpoint returned the same token, as Spring's `DefaultTokenServices` does
   until a token expires. `renew_at` becomes the expiry.
   *May become* expired; rejected.
4. **Expired or absent.** One caller starts a renewal, and all callers wait for its outcome: a token
   or a failure.
   *May become* fresh; returned again; failing.
5. **Rejected.** The API responded with 401 to a request that carried the token. If the current
   token is another one by now, the request is retried with that. Otherwise the token is renewed,
   once for all callers whose requests were rejected. Such a renewal is *unconfirmed* until a
   retried request is accepted, because the API may reject every token. Each unconfirmed renewal in
   a row doubles the wait for the next one. After n accepted calls, a wait of n seconds is cut to
   one second, because the token may have been revoked since. During the wait the 401 is returned
   to the caller. Accepted calls alone do not confirm a renewal. Otherwise one forbidden resource
   among many would cause a token request at each call.
   A call may end before its response is seen here, because an event hook of httpx raises. The token
   is then *suspect*: the next call treats it as rejected.
   *May become* fresh; returned again; failing.
   **One bound over 2 to 5**: while a usable token is at hand, there is at most one token request
   per second, sustained, whatever the API responds. Three may come at once, so that a token
   that is revoked twice within a second is replaced twice.
6. **Retrying a token request.** A transient failure (no connection, time-out, 408, 425, 429, 5xx,
   `temporarily_unavailable`) is retried after an exponential back-off or after `Retry-After`, if
   that ends within the time limit: the longest `timeout` of the waiting callers, counted from the
   start of the renewal. Other failures end the renewal. A renewal uses the transport of the caller
   that started it. This transport may hang or fail where another one works. So a caller with
   another transport waits for half of the time left at most, and then starts its own renewal. While
   another process holds the store's lock, a renewal reads the store from time to time. After about
   half of its time it continues without the lock.
7. **Failing.** A failure is shared: a caller that needs a token soon afterwards gets the failure at
   once, if it would be the same for this caller (`fails_alike`). This time doubles with each
   failure in a row, and is at least `Retry-After` (an hour at most). A failure in the background
   only delays the next background renewal, unless the endpoint sent `Retry-After`. Once
   the token has expired, a caller may request one. An `InvalidClientError` is shared for the
   rejected secret. A callable is called again after a second, and another secret is sent at once.
   *May become* expired or absent; fresh.
8. **Clocks.** A lifetime counts from when the token request was sent. A wait applies only between
   its start and its end, so a clock that is set back to before its start ends it. A token that is
   used after its expiry, because of a wrong clock, is replaced after its first 401. After the
   process was suspended, as Unix time shows, callers do not join the renewal. If it did not reach
   the endpoint, its failure is not shared, and those who waited start another renewal, once. So do
   callers that were suspended beyond their own time limit.
"""

from __future__ import annotations

import sys
from enum import Enum, auto
from typing import NamedTuple

from mediahound_auth.errors import (
    MediaHoundAuthError,
    TokenEndpointUnavailable,
    TokenRequestError,
)
from mediahound_auth.token import Token

__all__ = [
    "OTHER_TRANSPORT_SHARE",
    "PATIENCE_FOR_401",
    "START_RETRY_INTERVAL",
    "STORE_POLL_INTERVAL",
    "SUSPENDED_AFTER",
    "Action",
    "Conditions",
    "State",
    "fails_alike",
    "retry_delay",
    "store_lock_timeout",
    "store_timeout",
    "thread_start_timeout",
    "token_was_accepted",
]

NEVER = float("-inf")

# Seconds, but for numbers and shares.
MIN_BACK_OFF = 1.0  # between token requests while a token is at hand; any first back-off
MAX_AT_ONCE = 3  # token requests while a token is at hand, before they are a second apart
MAX_BACK_OFF = 60.0  # that failures and unconfirmed renewals in a row grow to
MAX_RETRY_AFTER = 3600.0  # that is honoured
MAX_MARGIN_FRACTION = 0.2  # of a token's lifetime
FIRST_RETRY_DELAY = 0.1  # between two attempts of one renewal; doubles
MAX_RETRY_DELAY = 5.0
RETRY_JITTER = 0.2  # at most, added to each
SUSPENDED_AFTER = 1.0  # beyond its time limit, a renewal must have been suspended with its process
START_RETRY_INTERVAL = 0.05  # while a task cannot start a thread
OTHER_TRANSPORT_SHARE = 0.5  # of the time left, for a renewal that has another transport
STORE_POLL_INTERVAL = 0.25  # while another process holds the store's lock
STORE_TIMEOUT = 2.0  # for one operation of a store; its lock may take as long as it is waited for
STORE_SHARE = 0.25  # of a time limit, for one operation of a store; the rest is for the endpoint
PATIENCE_FOR_401 = 1.0  # with the body of a 401, whose connection is wanted back for the retry
# Until a caller does the work of a thread that has not begun. A task tries to start a thread for as
# long. (In uWSGI 2.0.31 without `enable-threads`, threads do run, between requests too: tried by
# hand on 2026-11-26 with Python 3.11.) Pyodide has no threads; its event loop sometimes
# loses a time limit that is about to end.
THREAD_START_TIMEOUT: float = 0.0 if sys.platform == "emscripten" else 1.0


class Action(Enum):
    """What a caller that needs a token does now."""

    USE = auto()
    """Use the current token."""
    USE_AND_RENEW = auto()
    """Use the current token, and start a renewal in the background."""
    RENEW = auto()
    """Wait for a renewal: start one, or join the one in progress."""
    GIVE_UP = auto()
    """Request nothing: raise the failure that is shared, or return the 401 to the caller."""


class Conditions(NamedTuple):
    """The conditions, besides the endpoint, on which the outcome of a renewal depends.

    Attributes:
        transport: What sends the token requests. Equal transports reach the endpoint the same way.
        timeout: The seconds that all token requests of the renewal may take.
    """

    transport: object
    timeout: float


class State(NamedTuple):
    """The state of one client's token. Each `on_…` method returns the state that follows.

    Attributes:
        token: The last known token, even if it has expired.
        renew_at: Until then the token is used, and nothing is checked.
        renewal_due_at: When the token was, or will be, due for renewal first.
        failure, failures, failed_at, retry_at: The last failure, the number of failures in a row,
            when it happened, and until when it is shared.
        failed_under: The conditions of that failure.
        rejected_secret, rejected_until: The key of a grant whose secret the endpoint rejected, and
            until when that secret is not sent again.
        unconfirmed, unconfirmed_at, accepted_calls: The number of unconfirmed renewals in a row,
            when the last one was, and the number of calls accepted since.
        paced_until: When the latest token requests would end if each took a second.
        new_rejected: Whether an API rejected the token of an unconfirmed renewal.
        suspect: Whether an API has rejected the token, and the response was not seen here.
    """

    token: Token | None = None
    renew_at: float = NEVER
    renewal_due_at: float = NEVER
    failure: MediaHoundAuthError | None = None
    failures: int = 0
    failed_at: float = NEVER
    retry_at: float = NEVER
    failed_under: Conditions | None = None
    rejected_secret: str = ""
    rejected_until: float = NEVER
    unconfirmed: int = 0
    unconfirmed_at: float = NEVER
    accepted_calls: int = 0
    paced_until: float = NEVER
    new_rejected: bool = False
    suspect: bool = False

    @property
    def counts_accepted_calls(self) -> bool:
        """Whether it matters that an API accepts the token."""
        return self.unconfirmed > 0 and self.accepted_calls < _back_off(self.unconfirmed)

    def usable(self, now: float) -> bool:
        """Whether there is a token that has not expired."""
        return self.token is not None and now < self.token.expires_at

    def next_action(self, now: float, conditions: Conditions | None = None) -> Action:
        """Return the action of a caller that needs a token at `now`, under its `conditions`."""
        if now < self.renew_at:
            return Action.USE
        if self.token is not None and now < self.token.expires_at:
            return Action.USE_AND_RENEW
        if self.failure is not None and self._failed_lately(now, conditions):
            return Action.GIVE_UP
        return Action.RENEW

    def action_after_401(
        self, rejected: str, now: float, conditions: Conditions | None = None
    ) -> Action:
        """What a caller does after a 401 for a request with the access token `rejected`.

        USE means: retry the request with the current token, which is another one.
        """
        if self.token is None or self.token.access_token != rejected:
            action = self.next_action(now, conditions)
            return Action.USE if action is Action.USE_AND_RENEW else action
        if self._failed_lately(now, conditions) or self._renewed_lately(now):
            return Action.GIVE_UP
        return Action.RENEW

    def is_improved_by(self, other: Token, rejected: str | None, now: float) -> bool:
        """Whether `other`, found in a store, makes a token request unnecessary.

        `rejected` is the access token that an API has just rejected, if that is why a token is
        needed.
        """
        if other.expires_at <= now or other.access_token == rejected:
            return False
        if self.token is None or not self.usable(now):
            return True
        if other.access_token == self.token.access_token:
            return other.returned_again and not self.token.returned_again
        return other.requested_at > self.token.requested_at

    def with_returned_again(self, token: Token) -> Token:
        """Return `token`, marked as returned again if it is the current token."""
        if self.token is not None and self.token.access_token == token.access_token:
            return token.replace(returned_again=True)
        return token

    def secret_is_rejected(self, key: str, now: float) -> bool:
        """Whether the grant with this key has a secret that is not sent again yet."""
        return key == self.rejected_secret and self.failed_at <= now < self.rejected_until

    def on_renewal_started(self, now: float, timeout: float) -> State:
        """A renewal has started that may take `timeout` seconds."""
        if self.token is None or not self.usable(now):
            return self
        renew_at = min(now + max(timeout, MIN_BACK_OFF), self.token.expires_at)
        return self._replace(renew_at=renew_at)

    def on_token(
        self,
        token: Token,
        now: float,
        *,
        margin: float,
        jitter: float,
        requested: bool = False,
        after_401: bool = False,
    ) -> State:
        """`token` has arrived, from the endpoint (`requested`) or a store.

        `after_401`: it was requested because an API rejected the one before.
        """
        token = self.with_returned_again(token)
        if now >= token.expires_at and self.usable(now) and not (after_401 or token.returned_again):
            return self  # another one, of a short lifetime, whose response took longer
        lifetime = token.expires_at - token.requested_at
        early = min(margin, MAX_MARGIN_FRACTION * lifetime) * (1 - jitter / 2)
        early = 0.0 if token.returned_again else early
        due_at = max(token.expires_at - early, token.requested_at + MIN_BACK_OFF)
        due_at = min(due_at, token.expires_at)
        return State(
            token=token,
            renew_at=due_at,
            renewal_due_at=due_at,
            unconfirmed=self.unconfirmed + after_401,
            unconfirmed_at=now if after_401 else self.unconfirmed_at,
            accepted_calls=0 if after_401 else self.accepted_calls,
            paced_until=self._paced(now) if requested or after_401 else self.paced_until,
            new_rejected=self.new_rejected,
        )

    def on_failure(
        self,
        error: MediaHoundAuthError,
        now: float,
        *,
        jitter: float,
        waited_for: bool,
        requested: bool = False,
        conditions: Conditions | None = None,
        rejected_secret: str = "",
    ) -> State:
        """A renewal has failed under these conditions; `waited_for`: callers needed it.

        `requested`: a token request was sent.

        `rejected_secret` is the key of the grant with the rejected secret, if a callable returned
        it. The callable may return another secret next time.
        """
        failures = self.failures + 1
        retry_after = error.retry_after if isinstance(error, TokenRequestError) else None
        retry_after = min(retry_after or 0.0, MAX_RETRY_AFTER)
        wait = max(retry_after, _back_off(failures) * (1 + jitter / 2))
        rejected_until = now + wait
        if rejected_secret:
            retry_after, wait = 0.0, MIN_BACK_OFF * (1 + jitter / 2)
        renew_at = self.renew_at
        if self.token is not None and self.usable(now):
            renew_at = max(self.renewal_due_at, min(now + wait, self.token.expires_at))
        return self._replace(
            renew_at=renew_at,
            failure=error,
            failures=failures,
            failed_at=now,
            retry_at=now + (wait if waited_for else retry_after),
            failed_under=conditions,
            paced_until=self._paced(now) if requested else self.paced_until,
            rejected_secret=rejected_secret,
            rejected_until=rejected_until,
        )

    def on_same_secret(self, now: float, *, jitter: float) -> State:
        """The callable has returned the rejected secret again; the failure stays shared."""
        return self._replace(retry_at=now + MIN_BACK_OFF * (1 + jitter / 2))

    def on_accepted(self, access_token: str, *, retried: bool) -> State:
        """An API accepted `access_token`. `retried`: the call was a retry after a 401."""
        if not self.unconfirmed or self.token is None or self.token.access_token != access_token:
            return self
        if retried:
            return self._replace(
                unconfirmed=0, unconfirmed_at=NEVER, accepted_calls=0, new_rejected=False
            )
        if not self.counts_accepted_calls:
            return self
        return self._replace(accepted_calls=self.accepted_calls + 1)

    def on_rejected(self, access_token: str) -> State:
        """An API rejected `access_token` with a 401."""
        current = self.token is not None and self.token.access_token == access_token
        if self.new_rejected or not current or not self.counts_accepted_calls:
            return self
        return self._replace(new_rejected=True)

    def on_unseen_response(self, access_token: str) -> State:
        """The auth flow has missed a 401 for this access token, because a hook raised."""
        current = self.token is not None and self.token.access_token == access_token
        return self._replace(suspect=True) if current else self

    def _failed_lately(self, now: float, conditions: Conditions | None) -> bool:
        """Whether a caller under these conditions shares the last failure."""
        if self.failure is None or not self.failed_at <= now < self.retry_at:
            return False
        return fails_alike(self.failure, self.failed_under, conditions)

    def _paced(self, now: float) -> float:
        """`paced_until` after one more token request."""
        return max(now, min(self.paced_until, now + MAX_AT_ONCE - 1)) + MIN_BACK_OFF

    def _renewed_lately(self, now: float) -> bool:
        """Whether the next renewal after a 401 has to wait."""
        wait = _back_off(self.unconfirmed) if self.counts_accepted_calls else MIN_BACK_OFF
        if self.unconfirmed and self.unconfirmed_at <= now < self.unconfirmed_at + wait:
            return True
        return self.usable(now) and MAX_AT_ONCE - 1 < self.paced_until - now <= MAX_AT_ONCE


def fails_alike(
    failure: MediaHoundAuthError, under: Conditions | None, conditions: Conditions | None
) -> bool:
    """Whether a `failure` under some conditions is also that of a caller under other `conditions`.

    A response of the endpoint does not depend on the transport. A transient failure might have
    ended well within a longer time limit.
    """
    if under is None or conditions is None:
        return True
    transient = isinstance(failure, TokenEndpointUnavailable) and failure.retryable
    if transient and conditions.timeout > under.timeout:
        return False
    responded = not isinstance(failure, TokenRequestError) or failure.status is not None
    return responded or conditions.transport == under.transport


def retry_delay(
    error: TokenRequestError, attempts: int, remaining: float, jitter: float
) -> float | None:
    """Seconds to wait before a token request is retried; None if it is not.

    `attempts` is how many have failed by now, and `remaining` the seconds left of the time limit.
    """
    if not isinstance(error, TokenEndpointUnavailable) or not error.retryable:
        return None
    delay = min(FIRST_RETRY_DELAY * 2.0 ** min(attempts - 1, 16), MAX_RETRY_DELAY)
    if max(delay + RETRY_JITTER, error.retry_after or 0.0) >= remaining:
        return None
    return max(delay + RETRY_JITTER * jitter, error.retry_after or 0.0)


def store_lock_timeout(remaining: float, jitter: float) -> float:
    """Seconds to wait for a store's lock; `remaining` are those left of the time limit.

    Enough is left for a token request without the lock. Where the holder has died, jitter keeps
    the others from requesting at the same time.
    """
    return remaining * (0.3 + 0.4 * jitter)


def store_timeout(timeout: float) -> float:
    """Seconds that one operation of a store may take, within a time limit of `timeout`."""
    return min(STORE_TIMEOUT, STORE_SHARE * timeout)


def thread_start_timeout(timeout: float) -> float:
    """Seconds that a thread may take to begin, within a time limit of `timeout`."""
    return min(THREAD_START_TIMEOUT, timeout / 2)


def token_was_accepted(status: int) -> bool:
    """Whether this HTTP status shows that an API accepted the token. 401 and 5xx do not."""
    return status != 401 and status < 500


def _back_off(times: int) -> float:
    """The wait after the n-th time in a row, in seconds: 1, 2, 4, … up to MAX_BACK_OFF."""
    return min(MIN_BACK_OFF * 2.0 ** min(times - 1, 16), MAX_BACK_OFF)
