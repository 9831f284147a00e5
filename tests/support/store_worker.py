"""A process that does to a store what it is told: see test_store_interleavings.py."""

from __future__ import annotations

import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any

from mediahound_auth.stores import FileStore, RedisStore, Store, file
from mediahound_auth.token import Token


def store_of(kind: str, place: str, key: str) -> Store:
    """The store to work on."""
    return FileStore(place, encryption_key=key or None) if kind == "file" else RedisStore(place)


def work(pipe: Connection[Any, Any], kind: str, place: str, encryption_key: str) -> None:
    """Do what comes, answer what came of it, until the other end is closed."""
    # A machine that stands still stops whoever is saving, and nobody may go ahead then.
    file.SAVE_LOCK_TIMEOUT = 30.0
    store, held = store_of(kind, place, encryption_key), ExitStack()
    with pipe:
        while True:
            try:
                what, key, *rest = pipe.recv()
            except EOFError:
                return
            answer: Any = None
            if what == "load":
                token = store.load(key)
                answer = tuple(token.as_dict().values()) if token else None
            elif what == "save":
                [name, age] = rest
                now = time.time()
                # To the millisecond, which every store keeps.
                moment = round(now, 3) - age
                store.save(key, Token(name, now + 3600, moment))
                answer = moment
            elif what == "discard":
                store.discard(key)
            elif what == "lock":
                try:
                    held.enter_context(store.lock(key, 0.05))
                    answer = True
                except TimeoutError:
                    answer = False
            else:
                held.close()
            pipe.send(answer)
