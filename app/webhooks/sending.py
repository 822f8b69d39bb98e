"""One signed request to one webhook, and what became of it. Its answer is read for its status, and for nothing else."""

import json
import ssl
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

import httpcore

from app.networks import Networks
from app.storage.records import Delivery, Webhook
from app.webhooks.destination import NOT_ALLOWED
from app.webhooks.guard import Guard, NotAllowed
from app.webhooks.signing import signed_headers

SECONDS: Final = 15.0
"""For connecting, sending and the answer's head and beginning together; looking up a name comes on top."""
MOST_BYTES: Final = 2**16
"""Of an answer's body, which are read so that the other side can end it properly, and dropped."""
MOST_CHARACTERS: Final = 300
USER_AGENT: Final = f"Winnow/{version('winnow-service')}"

FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    OSError,
)


@dataclass(frozen=True)
class Answer:
    """`error` is None where it arrived: answered with 2xx, within the time."""

    status: int | None
    error: str | None


def send(
    webhook: Webhook,
    delivery: Delivery,
    networks: Networks,
    context: ssl.SSLContext,
    seconds: float = SECONDS,
) -> Answer:
    body = body_of(delivery.payload)
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        **signed_headers(webhook.secret, delivery.id, int(time.time()), body),
    }
    try:
        return _as_answer(
            _post(webhook.url, headers, body, Guard(networks, time.monotonic() + seconds), context)
        )
    except NotAllowed:
        return Answer(None, f"Its host leads to no public address. {NOT_ALLOWED}")
    except httpcore.TimeoutException:
        return Answer(None, f"It was not answered within {seconds:g} s.")
    except httpcore.ProtocolError:  # its text may have in it what the other side said
        return Answer(None, "The connection ended early, or what came was no answer in HTTP/1.1.")
    except FAILURES as error:
        return Answer(None, f"{type(error).__name__}: {error}"[:MOST_CHARACTERS])


def body_of(payload: dict[str, Any]) -> bytes:
    """The same bytes with every attempt."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _post(url: str, headers: dict[str, str], body: bytes, guard: Guard, context: ssl.SSLContext) -> int:
    """The status. A connection of its own for each request: the next one is checked anew."""
    with (
        httpcore.ConnectionPool(ssl_context=context, network_backend=guard) as pool,
        pool.stream("POST", url, headers=[*headers.items()], content=body) as response,
    ):
        _drain(response)
        return response.status


def _drain(response: httpcore.Response) -> None:
    """What breaks off behind the head changes nothing."""
    size = 0
    try:
        for chunk in response.iter_stream():
            size += len(chunk)
            if size > MOST_BYTES:
                return
    except FAILURES:
        return


def _as_answer(status: int) -> Answer:
    if 200 <= status < 300:
        return Answer(status, None)
    why = " Redirects are not followed." if 300 <= status < 400 else ""
    return Answer(status, f"It was answered with {status}.{why}")
