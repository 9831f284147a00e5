"""The adapter of a token request with requests: a new connection, with limits."""

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
    """Return `adapter` with limits and without retries, for one token request.

    token_transport.py has the limits. An adapter that is not an HTTPAdapter gets no limits.
    """
    if not isinstance(adapter, HTTPAdapter):
        yield adapter
        return
    pools: list[Any] = []

    def get_connection_with_tls_context(*args: Any, **kwargs: Any) -> Any:
        original: Any = adapter.get_connection_with_tls_context(*args, **kwargs)
        if not isinstance(original.pool, queue.LifoQueue):  # another urllib3, installed by niquests
            return original
        pool = copy.copy(original)
        pool.ConnectionCls = _bounded_connections(pool.ConnectionCls, bounds)
        pool.pool = queue.LifoQueue(1)
        pool.pool.put(None)  # means a new connection
        pools.append(pool)
        return pool

    try:
        yield with_values(
            adapter,
            max_retries=Retry(0, read=False),  # the default of requests
            get_connection_with_tls_context=get_connection_with_tls_context,
        )
    finally:
        for pool in pools:
            pool.close()


def _bounded_connections(kind: Any, bounds: ResponseBounds) -> Any:
    """Return a subclass of `kind`, a class of connections, that reads responses within `bounds`.

    This includes the responses of a proxy. vcrpy requires a subclass.
    """
    response_class: Any = getattr(kind, "response_class", None)  # of http.client

    def bounded_response(sock: Any, *args: Any, **kwargs: Any) -> Any:
        return response_class(BoundedSocket(sock, bounds), *args, **kwargs)

    return type(kind.__name__, (kind,), {"response_class": staticmethod(bounded_response)})
