"""A connection to a service that breaks off where a test wants it to."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Thread
from urllib.parse import SplitResult, urlsplit


@dataclass(frozen=True)
class Cut:
    """After so many bytes to the service; or, `mute`, as soon as so many have gone and an answer comes."""

    after: int
    mute: bool = False


@contextmanager
def cutting(url: str, cuts: Sequence[Cut], sent: list[list[int]] | None = None) -> Iterator[str]:
    """An address that leads to `url`: one connection after the other breaks off as `cuts` say, later ones do not.

    `sent` gets, for each connection, a list of one number: how many bytes have gone to the service.
    """
    target, rest = urlsplit(url), iter(cuts)
    counted = [] if sent is None else sent
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                counted.append([0])
                arguments = (client, target, next(rest, None), counted[-1])
                Thread(target=_forward, args=arguments, daemon=True).start()

        Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def _forward(client: socket.socket, target: SplitResult, cut: Cut | None, sent: list[int]) -> None:
    try:
        service = socket.create_connection((target.hostname, target.port))
    except OSError:
        return _end(client)
    answers = Thread(target=_answers, args=(client, service, cut, sent), daemon=True)
    answers.start()
    with suppress(OSError):
        while chunk := client.recv(2**16):
            if cut is not None and not cut.mute:
                chunk = chunk[: cut.after - sent[0]]
            service.sendall(chunk)
            sent[0] += len(chunk)
            if cut is not None and not cut.mute and sent[0] >= cut.after:
                break
    return _end(client, service)


def _answers(client: socket.socket, service: socket.socket, cut: Cut | None, sent: list[int]) -> None:
    with suppress(OSError):
        while chunk := service.recv(2**16):
            if cut is not None and cut.mute and sent[0] >= cut.after:
                break
            client.sendall(chunk)
    _end(client, service)


def _end(*connections: socket.socket) -> None:
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        connection.close()
