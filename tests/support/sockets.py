"""Plain sockets: what is sent to the byte, and what comes back."""

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """Of the problem, when it is one."""
        problem = self.headers.get("content-type") == "application/problem+json"
        return str(self.json()["code"]) if problem else None

    def json(self) -> Any:
        return json.loads(self.body)


def send_all(connection: socket.socket, data: bytes) -> bool:
    """Whether all of it could be sent: the other side may have closed."""
    try:
        connection.sendall(data)
    except OSError:
        return False
    return True


def read_to_the_end(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, in whatever way. Raises `TimeoutError` when it does not."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def answers(data: bytes) -> list[Answer]:
    """Answers with a Content-Length, one after the other."""
    found = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        found.append(Answer(int(first.split()[1]), headers, rest[:length]))
        data = rest[length:]
    return found


def ask(connection: socket.socket, data: bytes) -> list[Answer]:
    """Send, and read until the other side closes."""
    send_all(connection, data)
    return answers(read_to_the_end(connection))


def free_port() -> int:
    """Of loopback; nobody listens on it at this moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
