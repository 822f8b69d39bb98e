"""Which connection makes room for another, on real sockets."""

import asyncio
import socket

from app.server.crowd import Crowd


async def connected(crowd: Crowd) -> tuple[asyncio.Transport, socket.socket]:
    """A connection that is waited for and not read from, and its client's end."""
    ours, clients = socket.socketpair()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
    transport.pause_reading()
    crowd.wait_for(transport)
    return transport, clients


def test_room_is_made_by_the_one_whose_step_is_awaited_the_longest() -> None:
    async def closed() -> list[bool]:
        crowd = Crowd()
        pairs = [await connected(crowd) for _ in range(3)]
        assert crowd.make_room([])
        found = [transport.is_closing() for transport, _ in pairs]
        for transport, client in pairs:
            transport.abort()
            client.close()
        return found

    assert asyncio.run(closed()) == [True, False, False]


def test_without_anybody_to_close_there_is_no_room() -> None:
    assert not Crowd().make_room([])
