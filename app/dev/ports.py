"""Which TCP ports of this machine are free. Not a reservation: whoever binds first has it."""

from __future__ import annotations

import socket
from collections.abc import Collection

LOOPBACK = "127.0.0.1"


def free_port(host: str = LOOPBACK, *, but: Collection[int] = ()) -> int:
    """A port nobody listens on now, chosen by the kernel; none of `but`, which are promised."""
    while True:
        with _socket_for(host) as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        if port not in but:
            return port


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` of `host` now."""
    with _socket_for(host) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def _socket_for(host: str) -> socket.socket:
    probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    # As servers do: a port whose last connections are still closing counts as free.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe
