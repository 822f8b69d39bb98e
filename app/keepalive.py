"""How soon a connection notices that nobody is at its other end any more: half a minute, not the hours of the kernel.

A host that loses its power, a cable that is pulled and a firewall that forgets tell nobody. Until then a worker would
wait for hints that never come, a request for an answer, and a server keep the locks of who is gone.
"""

import socket
from typing import Final

IDLE_SECONDS: Final = 10
PROBE_SECONDS: Final = 5
PROBES: Final = 3
SILENT_MS: Final = 1000 * (IDLE_SECONDS + PROBE_SECONDS * PROBES)
"""For as long what was sent may stay without an acknowledgement."""

OF_LIBPQ: Final = {
    "keepalives_idle": IDLE_SECONDS,
    "keepalives_interval": PROBE_SECONDS,
    "keepalives_count": PROBES,
    "tcp_user_timeout": SILENT_MS,
}
OF_POSTGRESQL: Final = {
    "tcp_keepalives_idle": IDLE_SECONDS,
    "tcp_keepalives_interval": PROBE_SECONDS,
    "tcp_keepalives_count": PROBES,
    "tcp_user_timeout": SILENT_MS,
}
"""The same at the server's end, as settings of a session."""
OF_SOCKETS: Final = {
    socket.TCP_KEEPIDLE: IDLE_SECONDS,
    socket.TCP_KEEPINTVL: PROBE_SECONDS,
    socket.TCP_KEEPCNT: PROBES,
    socket.TCP_USER_TIMEOUT: SILENT_MS,
}
"""Options of `IPPROTO_TCP`."""
