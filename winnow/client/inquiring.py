"""Questions that a worker answers: asked, then looked for where Location leads until the answer is there."""

from functools import partial
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel

from winnow.client.errors import UnexpectedAnswer
from winnow.client.transport import Transport
from winnow.client.watching import patiently

T = TypeVar("T", bound=BaseModel)

WAIT: Final = {"wait": 20}
"""Seconds for which the service may hold an answer back; less than the transport waits for one."""


def fetch_answer(transport: Transport, response: httpx.Response, kind: type[T], patience: float) -> T:
    """The answer to a question, of which `response` is the first that came. Raises `ServiceProblem`."""
    while response.status_code == httpx.codes.ACCEPTED:
        place = response.headers.get("location")
        if place is None:
            raise UnexpectedAnswer(transport.url, response.status_code, "no Location")
        response = patiently(partial(transport.get, place, params=WAIT), patience)
    return transport.parsed(kind, response)
