"""A server with short patience, and a socket to it."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.server.limits import ConnectionLimits
from tests.support.served import Served, served

IMPATIENT = ConnectionLimits(connections=20, idle_seconds=0.6, linger_seconds=0.6)
Connect = Callable[[], socket.socket]


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, limits=IMPATIENT) as running:
        yield running


@pytest.fixture
def connect(api: Served) -> Iterator[Connect]:
    """Makes connections that are closed at the end."""
    made: list[socket.socket] = []

    def new() -> socket.socket:
        made.append(socket.create_connection(("127.0.0.1", api.http.base_url.port or 0), timeout=20))
        return made[-1]

    yield new
    for connection in made:
        connection.close()
