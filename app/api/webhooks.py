"""`/v1/webhooks`: who is told when something has come to its end, and what became of the telling."""

from typing import Annotated

from fastapi import Depends, Path, Request, Response

from app.api import examples
from app.api.deps import Owner, Service
from app.api.pages import Listed, Paged, listed
from app.api.problems import documented
from app.api.router import Router
from app.api.times import at, maybe_at, now
from app.storage import records
from app.storage.ids import new_id
from app.storage.ports import TooMany
from app.webhooks.destination import check_url
from app.webhooks.signing import new_secret
from winnow.contract.errors import Refusal
from winnow.contract.webhook import Delivery, NewWebhook, Webhook, WebhookPayload, WebhookRequest

router = Router(prefix="/v1/webhooks", tags=["webhooks"])

WebhookId = Annotated[str, Path(description="Id of the webhook.", examples=[examples.WEBHOOK])]
DeliveryId = Annotated[str, Path(description="Id of the delivery.", examples=[examples.DELIVERY])]


def _find(id: WebhookId, service: Service, owner: Owner) -> records.Webhook:
    webhook = service.records.webhook(owner, id)
    if webhook is None:
        raise Refusal("not_found", f"There is no webhook {id!r}; it may have been deleted.")
    return webhook


Found = Annotated[records.Webhook, Depends(_find)]
"""The webhook of the address. Raises `not_found`."""


@router.post(
    "",
    status_code=201,
    operation_id="create_webhook",
    responses=documented(
        "malformed_request", "unsupported_media_type", "address_not_allowed", "too_many_webhooks"
    ),
    openapi_extra={"requestBody": {"content": {"application/json": {"example": examples.NEW_WEBHOOK}}}},
)
def create_webhook(wanted: WebhookRequest, response: Response, service: Service, owner: Owner) -> NewWebhook:
    """Have events told to an address from now on. The answer has the secret that signs them, this once."""
    check_url(wanted.url, service.settings.webhook_networks)
    webhook = records.Webhook(
        id=new_id("whk"),
        owner=owner,
        url=wanted.url,
        events=tuple(dict.fromkeys(wanted.events)),
        secret=new_secret(),
        created_at=now(),
    )
    try:
        service.records.add_webhook(webhook)
    except TooMany as error:
        detail = (
            f"One owner may have {records.MAX_WEBHOOKS} webhooks, and this one has them. Delete one first."
        )
        raise Refusal("too_many_webhooks", detail) from error
    response.headers["location"] = f"/v1/webhooks/{webhook.id}"
    return NewWebhook(**_shown(webhook).model_dump(), secret=webhook.secret)


@router.get("", operation_id="list_webhooks", responses=documented())
def list_webhooks(request: Request, service: Service, owner: Owner, page: Paged) -> Listed[Webhook]:
    """Newest first."""
    items, next = listed(
        request,
        page,
        "whk",
        lambda p: service.records.webhooks(owner, p),
        lambda webhooks: [_shown(webhook) for webhook in webhooks],
    )
    return Listed(items=items, next=next)


@router.get("/{id}", operation_id="get_webhook", responses=documented("not_found"))
def get_webhook(webhook: Found) -> Webhook:
    """Where it sends what; not its secret."""
    return _shown(webhook)


@router.delete(
    "/{id}",
    status_code=204,
    operation_id="delete_webhook",
    responses=documented("not_found"),
)
def delete_webhook(webhook: Found, service: Service) -> None:
    """Tell it nothing more, also of what still waits. Its deliveries go with it."""
    service.records.delete_webhook(webhook.owner, webhook.id)


@router.get("/{id}/deliveries", operation_id="list_deliveries", responses=documented("not_found"))
def list_deliveries(request: Request, service: Service, webhook: Found, page: Paged) -> Listed[Delivery]:
    """What was told, newest first: whether it arrived, else why not and when it is tried next."""
    items, next = listed(
        request,
        page,
        "dlv",
        lambda p: service.records.deliveries(webhook.id, p),
        lambda deliveries: [_delivery(delivery) for delivery in deliveries],
    )
    return Listed(items=items, next=next)


@router.post(
    "/{id}/deliveries/{delivery}/replay",
    status_code=202,
    operation_id="replay_delivery",
    responses=documented("not_found"),
)
def replay_delivery(webhook: Found, delivery: DeliveryId, service: Service) -> Delivery:
    """Send it again at once, with the same id and body, whatever became of it; as often as the first time."""
    replayed = service.records.replay_delivery(webhook.id, delivery, now())
    if replayed is None:
        raise Refusal(
            "not_found", f"The webhook {webhook.id} has no delivery {delivery!r}; old ones are dropped."
        )
    return _delivery(replayed)


def _shown(webhook: records.Webhook) -> Webhook:
    return Webhook.model_validate(
        {
            "id": webhook.id,
            "url": webhook.url,
            "events": [*webhook.events],
            "created_at": at(webhook.created_at),
        }
    )


def _delivery(delivery: records.Delivery) -> Delivery:
    return Delivery.model_validate(
        {
            "id": delivery.id,
            "state": delivery.state,
            "attempts": delivery.attempt,
            "status": delivery.status,
            "error": delivery.error,
            "created_at": at(delivery.created_at),
            "next_at": maybe_at(delivery.next_at),
            "payload": WebhookPayload.model_validate(delivery.payload),
        }
    )
