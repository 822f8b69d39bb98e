"""`winnow webhooks`: addresses that are told of ends of jobs and inspections, and what became of the telling."""

from collections.abc import Iterable
from typing import Annotated, Final

import typer
from rich.table import Table

from winnow.cli.screen import Column, out, print_result, say, table
from winnow.cli.shared import Json, Url
from winnow.client import Client
from winnow.client.client import LOCAL
from winnow.contract.webhook import EVENT_TYPES, Delivery, EventType, Webhook

WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="The webhook's id, whk_…")]
USUAL: Final[tuple[EventType, ...]] = ("job.succeeded", "job.failed", "job.cancelled")

COLUMNS: tuple[Column, ...] = (("id", "left"), ("url", "left"), ("tells of", "left"), ("made", "left"))
DELIVERY_COLUMNS: tuple[Column, ...] = (
    *(("id", "left"), ("event", "left"), ("of", "left"), ("state", "left"), ("tried", "right")),
    *(("because", "left"), ("happened", "left"), ("next", "left")),
)

webhooks = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Have the service tell an address of the ends of jobs and inspections, signed as Standard Webhooks; look at "
    "what arrived, and send it again.",
)


@webhooks.command()
def create(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where to send to: https://…")],
    event: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EVENT",
            help=f"What is told: {', '.join(EVENT_TYPES)}; repeatable. [default: the ends of jobs]",
        ),
    ] = None,
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Have events told to an address: on stdout the secret that signs them, shown this once, the rest on stderr.

    \b
    winnow webhooks create https://ci.example.com/winnow
    winnow webhooks create https://ci.example.com/winnow --event job.failed --event model.rejected
    """
    events = _events(event)
    with Client(url) as client:
        made = client.create_webhook(address, events)
    if as_json:
        print_result(made.model_dump_json(indent=2))
        return
    say(
        f"{made.id} tells {made.url} of {', '.join(made.events)}. This is the only time that its secret is shown:"
    )
    print_result(made.secret)


@webhooks.command("list")
def list_webhooks(url: Url = LOCAL, as_json: Json = False) -> None:
    """List all webhooks, newest first, without their secrets; --json gives one object per line.

    \b
    winnow webhooks list
    """
    with Client(url) as client:
        found = [*client.webhooks()]
    if as_json:
        for webhook in found:
            print_result(webhook.model_dump_json())
    else:
        out().print(webhook_list(found))


@webhooks.command()
def delete(
    ids: Annotated[list[str], typer.Argument(metavar="WEBHOOK…", help="Ids of webhooks, whk_…")],
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Tell an address nothing more, also of what still waits. Its deliveries go with it.

    \b
    winnow webhooks delete whk_1
    """
    with Client(url) as client:
        for id in ids:
            client.delete_webhook(id)
            print_result(f'{{"deleted": "{id}"}}') if as_json else say(f"{id} is deleted")


@webhooks.command()
def deliveries(webhook: WebhookId, url: Url = LOCAL, as_json: Json = False) -> None:
    """List what was told in the last 30 days, newest first, and what became of it; --json gives one object per line.

    \b
    winnow webhooks deliveries whk_1
    """
    with Client(url) as client:
        found = [*client.deliveries(webhook)]
    if as_json:
        for delivery in found:
            print_result(delivery.model_dump_json())
    else:
        out().print(delivery_list(found))


@webhooks.command()
def replay(
    webhook: WebhookId,
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id, dlv_…")],
    url: Url = LOCAL,
    as_json: Json = False,
) -> None:
    """Send a delivery again at once, with the same id and body, whatever became of it.

    \b
    winnow webhooks replay whk_1 dlv_1
    """
    with Client(url) as client:
        again = client.replay(webhook, delivery)
    if as_json:
        print_result(again.model_dump_json(indent=2))
    else:
        say(f"{again.id} is sent again: {again.payload.type} of {again.payload.data.id}")


def _events(named: list[str] | None) -> tuple[EventType, ...]:
    if wrong := [event for event in named or () if event not in EVENT_TYPES]:
        raise typer.BadParameter(f"--event is one of {', '.join(EVENT_TYPES)}, and not {wrong[0]!r}")
    return tuple(event for event in EVENT_TYPES if event in named) if named else USUAL


def webhook_list(webhooks: Iterable[Webhook]) -> Table:
    rows = ((it.id, it.url, ", ".join(it.events), f"{it.created_at:%Y-%m-%d %H:%M}") for it in webhooks)
    return table(None, COLUMNS, rows)


def delivery_list(deliveries: Iterable[Delivery]) -> Table:
    return table(None, DELIVERY_COLUMNS, map(_row, deliveries))


def _row(it: Delivery) -> tuple[object, ...]:
    because = it.error or (f"answered with {it.status}" if it.status else "-")
    next_at = "-" if it.next_at is None else f"{it.next_at:%H:%M:%S}"
    told = (it.id, it.payload.type, it.payload.data.id, it.state, it.attempts)
    return *told, because, f"{it.created_at:%Y-%m-%d %H:%M:%S}", next_at
