"""The connections of one server whose next step is the client's: when there are too many, the slowest makes room."""

import asyncio
import logging
import time
from collections.abc import Iterable

log = logging.getLogger(__name__)

WARN_SECONDS = 60.0


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
        longest = next(iter(self._waited_for), None)
        if longest is None:
            unread = [(since, it) for since, it in readers if it.get_write_buffer_size()]
            longest = min(unread, key=lambda pair: pair[0])[1] if unread else None
        if longest is None:
            return False
        self.remove(longest)
        longest.abort()
        self._warn()
        return True

    def _warn(self) -> None:
        """Once a minute: under a flood there are thousands a second."""
        if time.monotonic() >= self._warn_after:
            self._warn_after = time.monotonic() + WARN_SECONDS
            log.warning(
                "all connections are taken: those that were waited for the longest are closed for others"
            )
