"""The connections of one server whose next step is the client's: when there are too many, the slowest makes room."""

import asyncio
import logging
import select
import time
from collections.abc import Iterable
from itertools import islice

log = logging.getLogger(__name__)

WARN_SECONDS = 60.0
LOOKED_AT = 16
"""Of those waited for the longest, whether their step has come meanwhile."""


class Crowd:
    """Transports, those first whose client made its last step the longest ago."""

    def __init__(self) -> None:
        self._waited_for: dict[asyncio.Transport, None] = {}
        self._warn_after = 0.0

    def wait_for(self, transport: asyncio.Transport) -> None:
        """Its client made a step, and the next is the client's again: it goes to the end."""
        self._waited_for.pop(transport, None)
        self._waited_for[transport] = None

    def remove(self, transport: asyncio.Transport) -> None:
        """It is gone, or the next step is ours."""
        self._waited_for.pop(transport, None)

    def make_room(self, readers: Iterable[tuple[float, asyncio.Transport]]) -> bool:
        """Close the one that was waited for the longest. When none is: of the `readers`, with the times at which they
        last took something of their answers, the one for which that was longest ago. False when there is neither."""
        longest = self._longest()
        if longest is None:
            unread = [(since, it) for since, it in readers if it.get_write_buffer_size()]
            longest = min(unread, key=lambda pair: pair[0])[1] if unread else None
        if longest is None:
            return False
        self.remove(longest)
        longest.abort()
        self._warn()
        return True

    def _longest(self) -> asyncio.Transport | None:
        """Of those waited for; one whose step has come, and only was not looked at yet, is passed over."""
        first = list(islice(self._waited_for, LOOKED_AT))
        moved = _unread(first)
        return next((it for it in first if it not in moved), first[0] if first else None)

    def _warn(self) -> None:
        """Once a minute: under a flood there are thousands a second."""
        if time.monotonic() >= self._warn_after:
            self._warn_after = time.monotonic() + WARN_SECONDS
            log.warning(
                "all connections are taken: those that were waited for the longest are closed for others"
            )


def _unread(transports: Iterable[asyncio.Transport]) -> set[asyncio.Transport]:
    """Those whose socket has bytes that were not read: many connections may be taken before any is read from."""
    sockets = {it.get_extra_info("socket").fileno(): it for it in transports}
    poll = select.poll()
    for number in sockets.keys() - {-1}:
        poll.register(number, select.POLLIN)
    return {sockets[number] for number, _ in poll.poll(0)}
