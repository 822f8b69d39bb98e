"""The one place where servers are made."""

from typing import Final

import uvicorn
from starlette.types import ASGIApp

from app.server.crowd import Crowd
from app.server.limits import ConnectionLimits, limits_of_this_process
from app.server.protocol import BoundedProtocol

ACCEPTED_AT_ONCE: Final = 1 / 4
"""Of the connections there may be, those that are accepted between two looks at the others, and that the kernel holds
for us: an upload whose next bytes have come is read before so many others have come that it is the one to make room.
Who comes last waits for all that the kernel holds: with 4,096 that was 1.8 s when connections came faster than they
could be taken, with 512 it was 0.5 s; more are turned away by the kernel for a second.
"""


def make_server(
    application: ASGIApp, *, limits: ConnectionLimits | None = None, grace_seconds: int
) -> uvicorn.Server:
    """uvicorn, with bounds on what a connection may take. Its log goes where ours goes."""

    class Bounded(BoundedProtocol):
        """The connections of this server."""

    Bounded.crowd = Crowd()
    Bounded.limits = limits or limits_of_this_process()
    at_once = max(1, int(Bounded.limits.connections * ACCEPTED_AT_ONCE))
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=Bounded,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=at_once,
            timeout_graceful_shutdown=grace_seconds,
        )
    )
