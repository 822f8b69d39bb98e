"""What one connection may take, and how many there may be: as many as leave descriptors for files and the database."""

import resource
from dataclasses import dataclass
from typing import Final

RESERVED_DESCRIPTORS: Final = 256
"""For the database, the queue, the log, the workers' pipes, and requests that are worked on in threads."""
DESCRIPTORS_PER_CONNECTION: Final = 2
"""Its socket, and the file that it uploads or downloads."""
INFINITE: Final = resource.RLIM_INFINITY
MOST_CONNECTIONS: Final = 1000
LEAST_CONNECTIONS: Final = 16
WANTED_DESCRIPTORS: Final = RESERVED_DESCRIPTORS + DESCRIPTORS_PER_CONNECTION * MOST_CONNECTIONS


@dataclass(frozen=True)
class ConnectionLimits:
    """`idle_seconds` bounds every silence: before a request, in its head, in its body, and of who does not read an
    answer. A body has to bring `body_bytes_per_second`, averaged over as long."""

    connections: int = MOST_CONNECTIONS
    head_bytes: int = 64 * 1024
    head_fields: int = 100
    idle_seconds: float = 30.0
    body_bytes_per_second: int = 1000
    linger_seconds: float = 5.0
    waiting_requests: int = 16

    @property
    def tick_seconds(self) -> float:
        """How often a connection is looked at: a limit of time is kept to within a sixth."""
        return self.idle_seconds / 6


def limits_of_this_process() -> ConnectionLimits:
    """The limits, with as many connections as the process's descriptors allow."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return ConnectionLimits(connections=connections_within(WANTED_DESCRIPTORS if soft == INFINITE else soft))


def connections_within(descriptors: int) -> int:
    """How many connections leave the reserve, when each takes a descriptor more for a file."""
    spare = (descriptors - RESERVED_DESCRIPTORS) // DESCRIPTORS_PER_CONNECTION
    return max(LEAST_CONNECTIONS, min(MOST_CONNECTIONS, spare))


def raise_descriptor_limit() -> None:
    """Raise the soft limit to what is wanted, as far as the hard limit lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == INFINITE else min(WANTED_DESCRIPTORS, hard)
    if soft not in (INFINITE, wanted) and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
