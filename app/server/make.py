"""The one place where servers are made."""

from typing import Final

import uvicorn
from starlette.types import ASGIApp

from app.server.crowd import Crowd
from app.server.limits import ConnectionLimits, limits_of_this_process
from app.server.protocol import BoundedProtocol

BACKLOG: Final = 512
"""Connections that the kernel takes before we do: who comes last waits for all of them. With 4,096 that was 1.8 s when
connections came faster than they could be taken, with 512 it is 0.5 s; more are turned away by the kernel for a second.
"""


def make_server(
    application: ASGIApp, *, limits: ConnectionLimits | None = None, grace_seconds: int
) -> uvicorn.Server:
    """uvicorn, with bounds on what a connection may take. Its log goes where ours goes."""

    class Bounded(BoundedProtocol):
        """The connections of this server."""

    Bounded.crowd = Crowd()
    Bounded.limits = limits or limits_of_this_process()
    return uvicorn.Server(
        uvicorn.Config(
            application,
            http=Bounded,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_graceful_shutdown=grace_seconds,
        )
    )
