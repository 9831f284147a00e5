"""TokenSource: lifecycle + store + one sender = a live token, from any thread or task.

What is known of one client's token is kept in one `Cell`, which all sources of the process share
that have the same grant and store. Its state is immutable and replaced under a lock that is held
for microseconds, never during I/O; reading it needs no lock. When lifecycle.py says that a token
has to come from elsewhere, a `Flight` fetches it: from the store if somebody has put a better one
there, from the endpoint otherwise.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from mediahound_auth.errors import (
    Kinds,
    MediaHoundAuthError,
    TokenEndpointUnavailable,
    TokenRequestError,
    again,
)
from mediahound_auth.flight import Flight, Plan
from mediahound_auth.grant import Grant, TokenRequest, TokenResponse
from mediahound_auth.lifecycle import State, Step
from mediahound_auth.origins import Origin
from mediahound_auth.settings import Settings
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = ["Sender", "TokenSource"]

log = logging.getLogger("mediahound_auth")

# Sends a request to the token endpoint as it is, within so many seconds, and returns the answer.
# It follows no redirect and raises TokenEndpointUnavailable where there is no answer.
Sender = Callable[[TokenRequest, float], TokenResponse]

# Seconds of back-off between attempts of one flight: doubling, with jitter.
FIRST_BACK_OFF, LONGEST_BACK_OFF, JITTER = 0.1, 5.0, 0.2

# Foreign origins that are named in a warning, so that a crawler does not fill the log.
MOST_WARNINGS = 100


class Cell:
    """What is known of one client's token in this process.

    Attributes:
        live: all that a call with a live token looks at, in one read: until when it may use which
            Authorization header, and whether acceptance is worth telling.
        state: all the rest; `live` is part of it.
        flight: the latest renewal, perhaps still under way.
    """

    __slots__ = ("flight", "live", "state")

    def __init__(self) -> None:
        self.flight: Flight | None = None
        self.become(State())

    def become(self, state: State) -> None:
        """Take on another state."""
        self.state = state
        self.live = (state.renew_at, state.authorization, state.doubts > 0)


# Held for a few statements at a time. A thread that a signal handler interrupted may come again.
_lock = threading.RLock()
_cells: WeakKeyDictionary[Store, dict[Grant, Cell]] = WeakKeyDictionary()

if hasattr(os, "register_at_fork"):
    # A child starts with the lock free and nothing half done.
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def _cell(store: Store, grant: Grant) -> Cell:
    # Callables are often made anew for each auth object; filed here, they would pile up.
    if callable(grant.client_secret):
        return Cell()
    with _lock:
        try:
            return _cells.setdefault(store, {}).setdefault(grant, Cell())
        except TypeError:  # a store of the user's own that has no hash or no weak references
            return Cell()


class TokenSource:
    """A live token for one auth object, whoever asks and from wherever."""

    def __init__(
        self,
        settings: Settings,
        send: Sender,
        kinds: Kinds,
    ) -> None:
        self.settings = settings
        self.cell = _cell(settings.used_store, settings.grant)
        self._store = settings.used_store
        self._send = send
        self._kinds = kinds
        self._warned: set[Origin] = set()

    def live(self) -> Plan[Token]:
        """A token to use now; waits only if there is no live one.

        Raises:
            MediaHoundAuthError: there is none to be had.
        """
        flight = None
        with _lock:
            now, state = time.time(), self.cell.state
            step = state.step(now)
            if step is Step.USE_AND_RENEW:
                flight = self._join()
                self.cell.become(state.renewing(now, self.settings.timeout))
            elif step is Step.RENEW:
                flight = self._join(waited_for=True)
        if step is Step.GIVE_UP:
            raise self._remembered(state, now)
        if step is Step.RENEW:
            assert flight is not None
            yield flight
            return self._landed(flight)
        if flight:
            flight.launch()
        assert state.token is not None
        return state.token

    def replacement(self, rejected: str) -> Plan[Token | None]:
        """The token to replay a request with whose access token, `rejected`, an API rejected.

        None: there is no better one, the 401 is the caller's.
        """
        while True:
            with _lock:
                state = self.cell.state
                step = state.step_after_401(rejected, time.time())
                if step is Step.RENEW:
                    flight = self._join(waited_for=True, rejected=rejected)
            if step is not Step.RENEW:
                return state.token if step is Step.USE else None
            yield flight
            try:
                token = self._landed(flight)
            except MediaHoundAuthError:
                return None  # the flight has logged it
            if token.access_token != rejected:
                return token
            if flight.rejected == rejected:
                return None
            # It was started for another reason, perhaps before the token was revoked.

    def renewed(self) -> Plan[Token]:
        """What the endpoint gives when asked now, whatever is at hand.

        Raises:
            MediaHoundAuthError: it gave none.
        """
        with _lock:
            flight = self._join(waited_for=True, ask=True)
        yield flight
        return self._landed(flight)

    def forget(self) -> None:
        """Drop the token, here and in the store, and the memory of failures."""
        with _lock:
            self.cell.flight = None
            self.cell.become(State())
        grant = self.settings.grant
        key = grant.key(grant.secret())
        with self._store_may_fail("discard"):
            self._store.discard(key)

    def accepted(self, access_token: str, *, replayed: bool = False) -> None:
        """Tell that an API took `access_token`."""
        with _lock:
            self.cell.become(self.cell.state.was_accepted(access_token, replayed=replayed))

    def allows(self, origin: Origin) -> bool:
        """Whether the token may go to `origin`; the first refusal of each logs a warning."""
        if origin in self.settings.origins:
            return True
        if origin not in self._warned and len(self._warned) < MOST_WARNINGS:
            self._warned.add(origin)
            log.warning(
                "no token is sent to %s: it is not the token endpoint's origin. If it is meant to "
                "get one, pass origins=[%r]",
                origin,
                str(origin),
            )
        return False

    def _join(
        self, *, waited_for: bool = False, rejected: str | None = None, ask: bool = False
    ) -> Flight:
        flight = self.cell.flight
        if flight is None or not flight.under_way:
            flight = Flight(self._fly, self.settings.timeout, rejected=rejected, ask=ask)
            self.cell.flight = flight
        flight.waited_for |= waited_for
        return flight

    def _landed(self, flight: Flight) -> Token:
        if not flight.landed:
            self._failed(flight, self._out_of_time(flight))
        outcome = flight.outcome()
        if isinstance(outcome, Token):
            return outcome
        raise again(outcome, self._kinds)

    def _remembered(self, state: State, now: float) -> MediaHoundAuthError:
        assert state.failure is not None
        error = again(state.failure, self._kinds)
        if isinstance(error, TokenRequestError):
            error.retry_after = state.retry_at - now
        return error

    # What follows runs in a flight's thread.

    def _fly(self, flight: Flight) -> None:
        try:
            self._fetch(flight)
        except MediaHoundAuthError as error:
            self._failed(flight, error)
        except Exception as error:
            # Whatever else breaks (a session of the user's own, say), nobody may be left waiting.
            host = self.settings.grant.host
            wrapped = TokenRequestError(
                f"the token request to {host} failed: {type(error).__name__}"
            )
            wrapped.__cause__ = error
            self._failed(flight, wrapped)

    def _fetch(self, flight: Flight) -> None:
        grant = self.settings.grant
        secret = grant.secret()
        key = grant.key(secret)
        found = self._better(key, flight)
        if found:
            self._obtained(flight, found)
            return
        with self._exclusive(key, flight):
            found = self._better(key, flight)
            if found:
                self._obtained(flight, found)
                return
            token = self._ask(flight, secret)
            self._obtained(flight, token, save_as=key)

    def _better(self, key: str, flight: Flight) -> Token | None:
        if flight.ask:
            return None
        found = None
        with self._store_may_fail("load"):
            found = self._store.load(key)
        if found and self.cell.state.prefers(found, flight.rejected, time.time()):
            return found
        return None

    def _ask(self, flight: Flight, secret: str) -> Token:
        import stamina

        def worth_another(error: Exception) -> bool | float:
            if not isinstance(error, TokenEndpointUnavailable) or not error.transient:
                return False
            flight.trouble = error
            wait = attempt.next_wait + JITTER
            if error.retry_after is None:
                return wait < flight.remaining
            wait = max(wait, error.retry_after)
            return wait if wait < flight.remaining else False

        for attempt in stamina.retry_context(
            on=worth_another,
            attempts=None,
            timeout=None,
            wait_initial=FIRST_BACK_OFF,
            wait_max=LONGEST_BACK_OFF,
            wait_jitter=JITTER,
        ):
            with attempt:
                return self._attempt(flight, secret)
        raise AssertionError("stamina returns or raises")  # pragma: no cover

    def _attempt(self, flight: Flight, secret: str) -> Token:
        grant = self.settings.grant
        known = self.cell.state.token
        sent_at = time.time()
        response = self._send(grant.request(secret), flight.remaining)
        return grant.token(
            response,
            sent_at=sent_at,
            secret=secret,
            known=[known.access_token] if known else [],
        )

    def _obtained(self, flight: Flight, token: Token, *, save_as: str | None = None) -> None:
        asked = save_as is not None
        with _lock:
            wanted = self.cell.flight is flight
            if wanted:  # not so after forget(), or when a later flight took over
                state = self.cell.state.obtained(
                    token,
                    time.time(),
                    margin=self.settings.renew_margin,
                    jitter=random.random(),
                    doubtful=asked and flight.rejected is not None,
                )
                self.cell.become(state)
                token = state.token or token
            first = flight.settle()
        if save_as is not None and wanted:
            with self._store_may_fail("save"):
                self._store.save(save_as, token)
        log.info(
            "token %s, good for %.0f s",
            "obtained" if asked else "found in the store",
            token.expires_at - time.time(),
        )
        if first:
            flight.land(token)

    def _failed(self, flight: Flight, error: MediaHoundAuthError) -> None:
        # Without its traceback: the frames hold the secret, and some tools print what frames hold.
        error = again(error, {})
        with _lock:
            first = flight.settle()
            if first and self.cell.flight is flight:
                state = self.cell.state.failed(
                    error, time.time(), jitter=random.random(), waited_for=flight.waited_for
                )
                self.cell.become(state)
        if first:
            log.warning("no token: %s", error)
            flight.land(error)

    def _out_of_time(self, flight: Flight) -> TokenEndpointUnavailable:
        host, budget = self.settings.grant.host, self.settings.timeout
        if flight.trouble is None:
            return TokenEndpointUnavailable(f"no answer from {host} within {budget:g} s")
        error = TokenEndpointUnavailable(f"no token within {budget:g} s: {flight.trouble}")
        error.__cause__ = flight.trouble.__cause__
        return error

    @contextmanager
    def _exclusive(self, key: str, flight: Flight) -> Iterator[None]:
        """Hold the store's lock, if it can be had."""
        held = None
        with self._store_may_fail("lock"):
            lock = self._store.lock(key, flight.remaining)
            lock.__enter__()
            held = lock
        try:
            yield
        finally:
            if held is not None:
                with self._store_may_fail("unlock"):
                    held.__exit__(None, None, None)

    @contextmanager
    def _store_may_fail(self, operation: str) -> Iterator[None]:
        """A broken store costs a log line, never a request."""
        try:
            yield
        except Exception as error:
            log.warning(
                "token store: %s failed (%s); going on from memory",
                operation,
                type(error).__name__,
            )
