"""SharedTokenState: what this process knows of one client's token, shared by equal grants.

Its state is immutable and replaced under one lock that is held for a few statements, never during
I/O; reading it needs no lock.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from weakref import WeakKeyDictionary

from mediahound_auth._core.grant import Grant
from mediahound_auth._core.lifecycle import State
from mediahound_auth._core.origins import Origin
from mediahound_auth._core.renewal import Renewal
from mediahound_auth._core.store_session import StoreHealth
from mediahound_auth.errors import MediaHoundAuthError
from mediahound_auth.stores import Store
from mediahound_auth.token import Token

__all__ = ["SharedTokenState", "guard", "shared_state_for"]

# Reentrant, because a signal handler may make a call of its own in the thread that holds it.
guard: threading.RLock = threading.RLock()
# Seconds for which nobody holds it who does not wait for somebody else.
MOMENT = 1.0

_cells: WeakKeyDictionary[Store, dict[Grant, SharedTokenState]] = WeakKeyDictionary()
# Of stores that are equal if they reach the same, and so may be made anew for each call: what is
# known outlives them.
_lasting: dict[Store, dict[Grant, SharedTokenState]] = {}
MOST_LASTING = 100

if hasattr(os, "register_at_fork"):
    # So that a child starts with the lock free and nothing half done.
    os.register_at_fork(
        before=guard.acquire, after_in_parent=guard.release, after_in_child=guard.release
    )


class SharedTokenState:
    """What this process knows of one client's token.

    Attributes:
        live: all that a call with a live token looks at, in one read: until when it may use which
            Authorization header, and whether acceptance is worth telling.
        state: all the rest; `live` is part of it.
        flight: the latest renewal, perhaps still under way.
        health: whether the store worked when it was last used.
        refused: the origins that a warning has named.
    """

    __slots__ = ("flight", "health", "live", "refused", "state")

    def __init__(self, grant: Grant) -> None:
        self.flight: Renewal | None = None
        self.health: StoreHealth = StoreHealth(grant)
        self.refused: set[Origin] = set()
        self.become(State())

    def become(self, state: State) -> None:
        """Take on another state; called with `guard` held."""
        self.state: State = state
        self.live: tuple[float, str, bool] = (
            state.renew_at,
            state.authorization,
            state.unconfirmed > 0,
        )

    def settle(
        self, flight: Renewal, outcome: Token | MediaHoundAuthError, after: Callable[[State], State]
    ) -> bool:
        """Take on what comes `after` this outcome; True for whoever has to land `flight` with it.

        A failure that comes too late changes nothing, nor does what comes of a flight that another
        one has replaced.
        """
        at_once = guard.acquire(timeout=MOMENT)
        first = flight.settle()
        if first and not at_once:
            flight.land(outcome)  # its holder waits for this very flight, in a signal handler
        if not at_once:
            guard.acquire()
        try:
            if self.flight is flight and (first or isinstance(outcome, Token)):
                self.become(after(self.state))
        finally:
            guard.release()
        return first


def shared_state_for(store: Store, grant: Grant) -> SharedTokenState:
    """The cell that all share who have an equal grant and keep its token in the same store."""
    # Callables are often made anew for each auth object; filed here, they would pile up.
    if callable(grant.client_secret):
        return SharedTokenState(grant)
    with guard:
        try:
            if type(store).__eq__ is object.__eq__:
                cells = _cells.setdefault(store, {})
            else:
                cells = _lasting.setdefault(store, {})
                if len(_lasting) > MOST_LASTING:
                    del _lasting[next(iter(_lasting))]
            return cells.setdefault(grant, SharedTokenState(grant))
        except TypeError:  # a store of the user's own that has no hash or no weak references
            return SharedTokenState(grant)
