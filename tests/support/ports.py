"""Ports of loopback that are kept while nobody listens there."""

from __future__ import annotations

import socket


def held(number: int = 0) -> socket.socket:
    """A socket that holds a port until it is closed, and does not listen.

    Who connects is refused, and no server of another test gets the port; who asks for it by its
    number, with SO_REUSEADDR, can listen there.
    """
    port = socket.socket()
    port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port.bind(("127.0.0.1", number))
    return port
