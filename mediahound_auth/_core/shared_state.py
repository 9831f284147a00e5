"""SharedTokenState: the state of one client's token, shared by all its auth objects.

The state itself is immutable (lifecycle.py). It is replaced while `runtime.state_lock` is held. The
fast path reads one attribute without a lock.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from mediahound_auth._core import runtime
from mediahound_auth._core.grant import Grant
from mediahound_auth._core.lifecycle import NEVER, Conditions, State
from mediahound_auth._core.origins import Origin
from mediahound_auth._core.store_session import StoreHealth
from mediahound_auth.errors import MediaHoundAuthError, copy_error
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

if TYPE_CHECKING:
    from mediahound_auth._core.renewal import Renewal

__all__ = ["SharedTokenState", "shared_state_for"]


# A call with a usable token needs only this, in one read: until when the header value is used, the
# header value, and whether the response matters. A plain tuple unpacks faster than a named one.
FastPath = tuple[float, str, bool]


class SharedTokenState:
    """The state of one client's token in this process.

    Attributes:
        fast_path: The part of `state` that a call with a usable token needs.
        recorded: `state` as last written. The latest outcome of a renewal may be missing. The
            thread of a renewal reads this attribute, without a lock: see renewal.py.
        renewal: The renewal in progress. Its thread may still run after the outcome is decided.
            Guarded by `state_lock`.
        era: An object that each `forget()` replaces.
        forgotten: The token that was forgotten last. No error may quote it.
        store_health: Whether the store worked when it was last used.
        warned_origins: The origins that a warning has named.
    """

    __slots__ = (
        "__weakref__",
        "era",
        "fast_path",
        "forgotten",
        "recorded",
        "renewal",
        "store_health",
        "warned_origins",
    )

    def __init__(self, grant: Grant) -> None:
        self.renewal: Renewal | None = None
        self.era = object()
        self.forgotten: Token | None = None
        self.store_health: StoreHealth = StoreHealth(grant)
        self.warned_origins: set[Origin] = set()
        self.state = State()

    @property
    def state(self) -> State:
        """The state, with the outcome of a renewal that has just been decided."""
        with runtime.state_lock:
            renewal = self.renewal
            if renewal is not None and renewal.decision and not renewal.recorded:
                renewal.recorded = True
                self.state = self._state_after(renewal, *renewal.decision)
            return self.recorded

    @state.setter
    def state(self, state: State) -> None:
        self.recorded = state
        authorization = state.token.authorization if state.token else ""
        renew_at = NEVER if state.suspect else state.renew_at
        self.fast_path: FastPath = (renew_at, authorization, state.counts_accepted_calls)

    def record_late(self, renewal: Renewal, token: Token) -> None:
        """Use `token`, which came after `renewal` had failed or had been replaced.

        Not after `forget()`, and not if the current token was requested later.
        """
        with runtime.state_lock:
            known = self.state.token
            decision = renewal.decision
            if renewal.recorded and decision and decision.outcome is token:
                return
            if renewal.era is self.era and not (known and known.requested_at > token.requested_at):
                self.state = self._state_after(renewal, token, runtime.now())

    def end(self, renewal: Renewal) -> None:
        """Drop `renewal`, whose thread ends, and with it the session that it refers to."""
        with runtime.state_lock:
            _ = self.state  # records the outcome
            if self.renewal is renewal:
                self.renewal = None

    def use_if_better(self, token: Token, margin: float) -> None:
        """Use `token`, which was kept elsewhere, if it is better than the current token."""
        with runtime.state_lock:
            now, state = runtime.now(), self.state
            if state.is_improved_by(token, None, now):
                self.state = state.on_token(token, now, margin=margin, jitter=runtime.jitter())

    def forget(self) -> None:
        """Forget the token and all failures. A renewal in progress does not bring them back."""
        with runtime.state_lock:
            self.renewal = None
            self.era = object()
            self.forgotten = self.recorded.token or self.forgotten
            self.state = State()

    def _state_after(
        self,
        renewal: Renewal,
        outcome: Token | MediaHoundAuthError,
        at: float,
        timeout: float = 0.0,
        lost: bool = False,
    ) -> State:
        state = self.recorded
        if isinstance(outcome, Token):
            requested = renewal.attempts > 0
            return state.on_token(
                outcome,
                at,
                margin=renewal.settings.renew_margin,
                jitter=runtime.jitter(),
                requested=requested,
                after_401=requested and renewal.rejected is not None,
            )
        if lost:
            return state
        if renewal.same_secret:
            return state.on_same_secret(at, jitter=runtime.jitter())
        return state.on_failure(
            _without_frames(outcome),
            at,
            jitter=runtime.jitter(),
            waited_for=renewal.waited_for,
            requested=renewal.attempts > 0,
            conditions=Conditions(renewal.transport, timeout),
            rejected_secret=renewal.rejected_secret,
        )


def _without_frames(failure: MediaHoundAuthError) -> MediaHoundAuthError:
    """Return a copy of `failure` to remember, without a cause that has frames.

    Frames refer to a transport or a callable of the user, which must not be kept until the next
    renewal. Callers that wait for the renewal raise a copy with the cause.
    """
    kept = copy_error(failure)
    cause = kept.__cause__
    if cause and (cause.__traceback__ or cause.__cause__ or cause.__context__):
        kept.__cause__ = None
    return kept


# By store and grant, for as long as an auth object has the state. The states used last are kept as
# well, because a program may create an auth object for each call. The state of a client without
# auth objects is dropped after MOST_KEPT other clients have been used.
_states: weakref.WeakValueDictionary[tuple[object, Grant], SharedTokenState]
_states = weakref.WeakValueDictionary()
_latest: dict[SharedTokenState, None] = {}
MOST_KEPT = 1000
# A callable may refer to much more, such as a request of a web application.
_latest_with_callable: dict[SharedTokenState, None] = {}
MOST_KEPT_WITH_CALLABLE = 100


def shared_state_for(store: Store | None, grant: Grant) -> SharedTokenState:
    """Return the state shared by all auth objects with an equal grant and an equal store."""
    # Equal stores reach the same tokens. A store that equals only itself must not be kept here.
    has_equals = store is None or type(store).__eq__ is not object.__eq__
    with runtime.state_lock:
        try:
            key = (store if has_equals else weakref.ref(store), grant)
            shared = _states.get(key) or _states.setdefault(key, SharedTokenState(grant))
        except TypeError:  # no hash of or weak reference to a store or callable of the user's
            return SharedTokenState(grant)
        latest, most = _latest, MOST_KEPT
        if callable(grant.client_secret):
            latest, most = _latest_with_callable, MOST_KEPT_WITH_CALLABLE
        latest.pop(shared, None)
        latest[shared] = None
        if len(latest) > most:
            del latest[next(iter(latest))]
        return shared
