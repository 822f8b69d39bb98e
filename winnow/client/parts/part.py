"""What every part of the client has: the connection, and how long it outlasts a service that is away."""

from urllib.parse import quote

from winnow.client.transport import Transport


class Part:
    """`Client` sets both."""

    _transport: Transport
    _patience: float


def path_of(*parts: str) -> str:
    """The address of a thing: `/v1/jobs/job_1/cancel`."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)
