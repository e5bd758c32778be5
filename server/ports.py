"""Sockets to listen on, and the operator's line for an address that cannot be listened on."""
from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from typing import Any

from server.core.errors import ConfigError
from server.settings import Server


def bound(server: Server, shared: bool = False) -> list[socket.socket]:
    """A socket for each address of the host, to which nobody can connect yet; `shared` with other processes.

    Raises `ConfigError`.
    """
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with ExitStack() as stack:
            made = [stack.enter_context(_bind(family, address, shared))
                    for family, *_, address in dict.fromkeys(found)]
            stack.pop_all()
        return made
    except (OSError, UnicodeError) as error:
        raise unusable(server, error) from None


def _bind(family: int, address: Any, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Always the first one too: it passes over the connections that a server before us has just closed.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made


def unusable(server: Server, error: OSError | UnicodeError) -> ConfigError:
    """The operator's line; it blames the setting that is at fault."""
    where = f"cannot listen on {shown(server.host)}:{server.port}"
    match getattr(error, "errno", None):
        case errno.EADDRINUSE:
            return ConfigError(f"[server] port: {where}: it is in use; expected another port, or --port 0 for a free "
                               "one")
        case errno.EACCES:
            return ConfigError(f"[server] port: {where}: it needs a right that this user lacks; expected 1024 or more")
        case _:
            why = getattr(error, "strerror", None) or "it is no host name"
            return ConfigError(f"[server] host: {where}: {why}; expected an address of this machine")


def shown(host: str) -> str:
    """The host as it stands in a URL."""
    return f"[{host}]" if ":" in host else host
