"""Webhooks: where the service tells of what happened, and what it sends there (https://www.standardwebhooks.com)."""

from datetime import datetime
from typing import Final, Literal, get_args

from pydantic import Field

from winnow.contract.base import RequestModel, ResponseModel
from winnow.contract.errors import Problem

EventType = Literal[
    "job.succeeded",
    "job.failed",
    "job.cancelled",
    "model.ready",
    "model.rejected",
    "dataset.ready",
    "dataset.rejected",
]
EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)
DeliveryState = Literal["waiting", "delivered", "failed"]
MAX_URL_CHARACTERS: Final = 2000


class WebhookRequest(RequestModel):
    """`POST /v1/webhooks`."""

    url: str = Field(
        min_length=1,
        max_length=MAX_URL_CHARACTERS,
        description="Where to send to, in ASCII: `https://host[:port]/path` or `http://…`; redirects are not followed.",
    )
    events: list[EventType] = Field(
        min_length=1, max_length=len(EVENT_TYPES), description="What is told, each once."
    )


class Webhook(ResponseModel):
    """An address that is told of events. Its secret is shown once, when it is made."""

    id: str = Field(description="Of the webhook, made by the service.")
    url: str = Field(description="Where it sends to.")
    events: list[EventType] = Field(description="What is told.")
    created_at: datetime = Field(description="When it was made.")


class NewWebhook(Webhook):
    """A webhook that was just made, with its secret."""

    secret: str = Field(
        description="`whsec_` and the key in base64, with which the receiver verifies signatures. Shown this once."
    )


class EventData(ResponseModel):
    """Of what was told: enough to decide whether to ask for more."""

    id: str = Field(description="Id of the job, model or dataset.")
    name: str | None = Field(description="Its name; null where it has none.")
    state: str = Field(description="What it has come to.")
    outcome: str | None = Field(description="Of a job that succeeded, as in the job; null for the others.")
    tags: dict[str, str] = Field(description="Of a job; empty for the others.")
    problem: Problem | None = Field(description="Why it failed or was rejected; null for the others.")


class WebhookPayload(ResponseModel):
    """The body of what is sent."""

    type: EventType = Field(description="What happened.")
    timestamp: datetime = Field(description="When it happened.")
    data: EventData = Field(description="To whom.")


class Delivery(ResponseModel):
    """One event on its way to one webhook. `id` is sent as `webhook-id` with every attempt: whoever has seen it may
    drop it."""

    id: str = Field(description="Of the delivery, the same over all attempts.")
    state: DeliveryState = Field(
        description="`delivered` once it was answered with 2xx, `failed` after the last attempt."
    )
    attempts: int = Field(description="How often it was sent or tried, replays included.")
    status: int | None = Field(description="HTTP status of the last answer; null where none came.")
    error: str | None = Field(
        description="Why the last attempt failed; null where it did not, or there was none."
    )
    created_at: datetime = Field(description="When the event happened.")
    next_at: datetime | None = Field(description="When it is tried next; null when it has ended.")
    payload: WebhookPayload = Field(description="What is sent.")
