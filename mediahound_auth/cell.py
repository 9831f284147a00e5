"""Cell: what this process knows of one client's token, shared by all who have the same grant.

Its state is immutable and replaced under one lock that is held for a few statements, never during
I/O; reading it needs no lock.
"""

from __future__ import annotations

import os
import threading
from weakref import WeakKeyDictionary

from mediahound_auth.flight import Flight
from mediahound_auth.grant import Grant
from mediahound_auth.lifecycle import State
from mediahound_auth.origins import Origin
from mediahound_auth.stores import Store
from mediahound_auth.visit import Health

__all__ = ["Cell", "cell_of", "guard"]

# Reentrant, because a signal handler may make a call of its own in the thread that holds it.
guard: threading.RLock = threading.RLock()

_cells: WeakKeyDictionary[Store, dict[Grant, Cell]] = WeakKeyDictionary()

if hasattr(os, "register_at_fork"):
    # So that a child starts with the lock free and nothing half done.
    os.register_at_fork(
        before=guard.acquire, after_in_parent=guard.release, after_in_child=guard.release
    )


class Cell:
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
        self.flight: Flight | None = None
        self.health: Health = Health(grant)
        self.refused: set[Origin] = set()
        self.become(State())

    def become(self, state: State) -> None:
        """Take on another state; called with `guard` held."""
        self.state: State = state
        self.live: tuple[float, str, bool] = (state.renew_at, state.authorization, state.doubts > 0)


def cell_of(store: Store, grant: Grant) -> Cell:
    """The cell that all share who have an equal grant and keep its token in the same store."""
    # Callables are often made anew for each auth object; filed here, they would pile up.
    if callable(grant.client_secret):
        return Cell(grant)
    with guard:
        try:
            return _cells.setdefault(store, {}).setdefault(grant, Cell(grant))
        except TypeError:  # a store of the user's own that has no hash or no weak references
            return Cell(grant)
