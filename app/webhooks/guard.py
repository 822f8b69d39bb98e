"""Connections to where a stranger says: to addresses that may be reached only, and only for so long.

What counts is the address that is connected to, looked up once: a name that is public when it is checked and private
when it is used (DNS rebinding) gains nothing.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Any

import httpcore

from app.networks import Address, Networks, may_reach


class NotAllowed(Exception):
    """A name leads to no address that may be reached."""


class Guard(httpcore.NetworkBackend):
    """A network of httpcore's. `deadline` (of `time.monotonic`) ends all of it, however slowly the other side sends.

    `connect_tcp` raises `NotAllowed`, and `httpcore.ConnectError` for names that lead nowhere.
    """

    def __init__(self, networks: Networks, deadline: float) -> None:
        self._networks, self._deadline = networks, deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        allowed = [address for address in look_up(host, port) if may_reach(address, self._networks)]
        if not allowed:
            raise NotAllowed(host)
        failure: Exception | None = None
        for address in allowed:
            try:
                left = seconds_until(self._deadline)
                stream = self._inner.connect_tcp(str(address), port, left, local_address, socket_options)
                return _Bounded(stream, self._deadline)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure


class _Bounded(httpcore.NetworkStream):
    """Whatever time it is given, the deadline counts."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, seconds_until(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, seconds_until(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, seconds_until(self._deadline))
        return _Bounded(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def look_up(host: str, port: int) -> list[Address]:
    """The addresses that a name leads to, each once. Raises `httpcore.ConnectError`."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the name {host} cannot be looked up: {error}") from error
    return [*dict.fromkeys(ip_address(place[0]) for *_, place in found)]


def seconds_until(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("it took too long")
    return left
