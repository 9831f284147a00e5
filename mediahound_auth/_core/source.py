"""TokenSource: lifecycle + store + one sender = a live token, from any thread or task.

When lifecycle.py says that a token has to come from elsewhere, a `Renewal` fetches it: from the
store if somebody has put a better one there, from the endpoint otherwise.

What callers do is written as plans (see flight.py), which threads and tasks follow alike.
"""

from __future__ import annotations

import random
import time

from mediahound_auth import _events as events
from mediahound_auth._core.endpoint import Sender, ask, timeout_error, unexpected_error
from mediahound_auth._core.grant import Secret
from mediahound_auth._core.lifecycle import (
    STORE_POLL_INTERVAL,
    Action,
    State,
    store_lock_timeout,
    token_was_accepted,
)
from mediahound_auth._core.origins import Origin
from mediahound_auth._core.renewal import Renewal, Steps, run_steps
from mediahound_auth._core.settings import Settings
from mediahound_auth._core.shared_state import SharedTokenState, guard, shared_state_for
from mediahound_auth._core.store_session import StoreSession
from mediahound_auth.errors import (
    ConfigurationError,
    ErrorTypes,
    MediaHoundAuthError,
    TokenRequestError,
    again,
)
from mediahound_auth.token import Token

__all__ = ["TokenSource"]

# Foreign origins that are named in a warning, so that a crawler does not fill the log.
MOST_WARNINGS = 100


class TokenSource:
    """A live token for one auth object, whoever asks and from wherever."""

    def __init__(self, settings: Settings, send: Sender, kinds: ErrorTypes) -> None:
        self.settings = settings
        self.cell: SharedTokenState = shared_state_for(settings.store_or_default, settings.grant)
        self._send = send
        self._error_types = kinds
        # If the secret is asked for each time: the source for the one that was got last.
        self._resolved: TokenSource | None = None

    def live(self) -> Steps[Token]:
        """A token to use now; waits only if there is no live one.

        Raises:
            MediaHoundAuthError: there is none to be had.
        """
        flight = None
        with guard:
            now, state = time.time(), self.cell.state
            step = state.next_action(now)
            if step is Action.USE_AND_RENEW:
                flight = self._join()
                self.cell.become(state.renewing(now, self.settings.timeout))
            elif step is Action.RENEW:
                flight = self._join(waited_for=True)
        if step is Action.GIVE_UP:
            raise self._remembered(state, now)
        if flight and step is Action.RENEW:
            yield flight, self.settings.timeout
            return self._landed(flight)
        if flight:
            flight.launch()
        assert state.token is not None
        return state.token

    def replacement(self, rejected: str) -> Steps[Token | None]:
        """The token to retry a request with whose access token, `rejected`, an API rejected.

        None: there is no better one, the 401 is the caller's.
        """
        while True:
            flight = None
            with guard:
                state = self.cell.state
                step = state.action_after_401(rejected, time.time())
                if step is Action.RENEW:
                    flight = self._join(waited_for=True, rejected=rejected)
            if flight is None:
                return state.token if step is Action.USE else None
            yield flight, self.settings.timeout
            try:
                token = self._landed(flight)
            except MediaHoundAuthError:
                return None  # the flight has logged it
            if token.access_token != rejected:
                return token
            if flight.rejected == rejected:
                return None
            # It was started for another reason, perhaps before the token was revoked.

    def renewed(self) -> Steps[Token]:
        """What the endpoint gives when asked now, whatever is at hand.

        Raises:
            MediaHoundAuthError: it gave none.
        """
        while True:
            with guard:
                flight = self._join(waited_for=True, ask=True)
            yield flight, self.settings.timeout
            token = self._landed(flight)
            if flight.ask or flight.attempts:
                return token
            # It was started for another reason, and has found the token in the store.

    def forget(self) -> None:
        """Drop the token, here and in the store, and the memory of failures.

        Raises:
            ConfigurationError: the client_secret callable failed.
        """
        with guard:
            self.cell.flight = None
            self.cell.become(State())
        try:
            secret = self.settings.grant.secret()
        except ConfigurationError as error:
            raise again(error, self._error_types)  # noqa: B904  # it brings the cause along
        if callable(self.settings.grant.client_secret):
            self._by(secret).forget()
            return
        with self._visit(secret) as visit:
            visit.discard()

    def adopt(self, token: Token) -> None:
        """Use `token`, which somebody else has kept, if it is better than what is at hand."""
        with guard:
            if self.cell.state.is_improved_by(token, None, time.time()):
                self.cell.become(self._with(token, self.cell.state))

    def answered(self, access_token: str, status: int, *, retried: bool = False) -> None:
        """Tell with which HTTP status an API answered a request that carried `access_token`.

        `retried` says that it had rejected another one before.
        """
        if retried:
            events.request_retried(self.settings.grant, status)
        if token_was_accepted(status):
            self._accepted(access_token, retried)

    def _accepted(self, access_token: str, retried: bool) -> None:
        with guard:
            self.cell.become(self.cell.state.on_accepted(access_token, retried=retried))
        if self._resolved:
            self._resolved._accepted(access_token, retried)

    def allows(self, origin: Origin) -> bool:
        """Whether the token may go to `origin`; the first refusal of each logs a warning."""
        if origin in self.settings.origins:
            return True
        refused = self.cell.refused
        if origin not in refused and len(refused) < MOST_WARNINGS:
            refused.add(origin)
            events.token_withheld(self.settings.grant, origin)
        return False

    def _join(
        self, *, waited_for: bool = False, rejected: str | None = None, ask: bool = False
    ) -> Renewal:
        flight = self.cell.flight
        if flight is None or flight.settled or not flight.under_way:
            flight = Renewal(self._fly, self.settings.timeout, rejected=rejected, ask=ask)
            self.cell.flight = flight
        flight.waited_for |= waited_for
        flight.extend(self.settings.timeout)
        return flight

    def _landed(self, flight: Renewal) -> Token:
        if not flight.landed:
            error = timeout_error(self.settings.grant, flight, self.settings.timeout)
            if not flight.remaining:
                self._failed(flight, error)
            if not flight.landed:  # it has more time than this caller, or is about to land
                raise again(error, self._error_types)
        outcome = flight.outcome()
        if isinstance(outcome, Token):
            return outcome
        raise again(outcome, self._error_types)

    def _remembered(self, state: State, now: float) -> MediaHoundAuthError:
        assert state.failure is not None
        error = again(state.failure, self._error_types)
        if isinstance(error, TokenRequestError):
            error.retry_after = state.retry_at - now
        return error

    # What follows runs in a flight's thread.

    def _fly(self, flight: Renewal) -> None:
        try:
            self._fetch(flight)
        except MediaHoundAuthError as error:
            self._failed(flight, error)
        except BaseException as error:
            # Whatever else breaks, nobody may be left waiting.
            self._failed(flight, unexpected_error(self.settings.grant, error))
            if not isinstance(error, Exception):
                raise error.with_traceback(None)  # noqa: B904  # frames can hold the secret

    def _fetch(self, flight: Renewal) -> None:
        grant = self.settings.grant
        secret = grant.secret()
        if callable(grant.client_secret):
            self._fetch_by(secret, flight)
            return
        with self._visit(secret) as visit:
            found = self._better(visit, flight) or self._better_while_locking(visit, flight)
            if found:
                self._obtained(flight, found)
                return
            token = ask(grant, self._send, flight, secret, self.cell.state)
            if self.cell.flight is flight:  # not so after forget(), or when a later one took over
                visit.save(token, instead_of=flight.rejected)
                if self.cell.flight is not flight:
                    visit.discard()
            self._obtained(flight, token, asked=True)

    def _fetch_by(self, secret: Secret, flight: Renewal) -> None:
        """Have what the source for this secret has, which all who got the same secret share."""
        source = self._by(secret)
        token: Token | None
        try:
            if flight.ask:
                token = run_steps(source.renewed())
            elif flight.rejected is None:
                token = run_steps(source.live())
            else:
                token = run_steps(source.replacement(flight.rejected)) or self.cell.state.token
        except MediaHoundAuthError as error:
            self._failed(flight, error, told=True)
            return
        assert token is not None
        behind = source.cell.flight
        if behind and behind.under_way and not flight.waited_for:
            # A renewal in the background, theirs as this is ours: nobody waits, so this one may.
            behind.wait(flight.remaining)
            token = source.cell.state.token or token
        if self.cell.settle(flight, token, lambda _: source.cell.state):
            flight.land(token)

    def _by(self, secret: Secret) -> TokenSource:
        """The source for this secret."""
        source = self._resolved
        if source is None or source.settings.grant.client_secret != secret:
            grant = self.settings.grant._replace(client_secret=secret)
            source = TokenSource(self.settings._replace(grant=grant), self._send, {})
            self._resolved = source
        return source

    def _visit(self, secret: Secret) -> StoreSession:
        key, budget = self.settings.grant.key(secret), self.settings.timeout
        return StoreSession(self.settings.store_or_default, key, self.cell.health, budget)

    def _better(self, visit: StoreSession, flight: Renewal) -> Token | None:
        found = None if flight.ask else visit.load()
        better = found and self.cell.state.is_improved_by(found, flight.rejected, time.time())
        return found if better else None

    def _better_while_locking(self, visit: StoreSession, flight: Renewal) -> Token | None:
        # Looking in between, callers need not pass the lock one by one when the token has come.
        until = flight.remaining - store_lock_timeout(flight.remaining, random.random())
        while True:
            left = flight.remaining - until
            locked = left <= 0 or visit.lock(min(left, STORE_POLL_INTERVAL))
            found = self._better(visit, flight)
            if found or locked:
                return found

    def _obtained(self, flight: Renewal, token: Token, *, asked: bool = False) -> None:
        doubtful = asked and flight.rejected is not None
        if self.cell.settle(flight, token, lambda state: self._with(token, state, doubtful)):
            flight.land(token)
        events.renewed(self.settings.grant, flight, token, found=not asked)

    def _with(self, token: Token, state: State, doubtful: bool = False) -> State:
        margin, jitter = self.settings.renew_margin, random.random()
        return state.obtained(token, time.time(), margin=margin, jitter=jitter, doubtful=doubtful)

    def _failed(self, flight: Renewal, error: MediaHoundAuthError, *, told: bool = False) -> None:
        # Without its traceback: the frames hold the secret, and some tools print what frames hold.
        error = again(error, {})

        def after(state: State) -> State:
            now, jitter, waited_for = time.time(), random.random(), flight.waited_for
            return state.failed(error, now, jitter=jitter, waited_for=waited_for, rotating=told)

        if self.cell.settle(flight, error, after):
            try:
                if not told:
                    events.renewal_failed(self.settings.grant, flight, error)
            finally:
                flight.land(error)
