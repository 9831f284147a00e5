"""How requests sends a token request: over a connection of its own, within bounds."""

from __future__ import annotations

import copy
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.util import Retry

from mediahound_auth._adapters.token_transport import BoundedSocket, ResponseBounds, with_values

__all__ = ["bounded_adapter"]


@contextmanager
def bounded_adapter(adapter: BaseAdapter, bounds: ResponseBounds) -> Iterator[BaseAdapter]:
    """`adapter` for one token request, without its retries: see token_transport.py.

    An adapter that is no HTTPAdapter is used as it is.
    """
    if not isinstance(adapter, HTTPAdapter):
        yield adapter
        return
    pools: list[Any] = []

    def get_connection_with_tls_context(*args: Any, **kwargs: Any) -> Any:
        original: Any = adapter.get_connection_with_tls_context(*args, **kwargs)
        if not isinstance(original.pool, queue.LifoQueue):  # of another urllib3, as niquests brings
            return original
        pool = copy.copy(original)
        pool.ConnectionCls = _bounded_connections(pool.ConnectionCls, bounds)
        pool.pool = queue.LifoQueue(1)
        pool.pool.put(None)  # a connection that is to be made
        pools.append(pool)
        return pool

    try:
        yield with_values(
            adapter,
            max_retries=Retry(0, read=False),  # requests' default
            get_connection_with_tls_context=get_connection_with_tls_context,
        )
    finally:
        for pool in pools:
            pool.close()


def _bounded_connections(kind: Any, bounds: ResponseBounds) -> Any:
    """The class of connections of this `kind` that read responses, a proxy's too, in `bounds`.

    A subclass, since tools ask whether a connection is one of its pool's class (vcrpy).
    """
    response_class: Any = getattr(kind, "response_class", None)  # of http.client

    def bounded_response(sock: Any, *args: Any, **kwargs: Any) -> Any:
        return response_class(BoundedSocket(sock, bounds), *args, **kwargs)

    return type(kind.__name__, (kind,), {"response_class": staticmethod(bounded_response)})
